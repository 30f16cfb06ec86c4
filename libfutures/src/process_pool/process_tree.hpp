// SPDX-License-Identifier: BSL-1.0
// ProcessTree: the descendants of a process, which are found while they stand still, so
// that none starts another one meanwhile.
// Threads: one.
#pragma once

#include "mp/fd.hpp"

#include <sys/types.h>

#include <utility>
#include <vector>

namespace futures::detail {

class ProcessTree {
public:
    struct Member {
        pid_t pid;
        mp::UniqueFd pidfd;
    };

    /// Of the process that has this descriptor.
    ProcessTree(pid_t root, int pidfd) : root_(root), root_pidfd_(pidfd) {}

    /// Those that were found, and not taken, go on, unless they were killed.
    ~ProcessTree();

    ProcessTree(const ProcessTree&) = delete;
    ProcessTree& operator=(const ProcessTree&) = delete;

    /// Stops them, to a fixpoint: an orphan turns up among the children of the process
    /// that adopts it. Spared is a resource tracker. Where descriptors are short those
    /// found so far are killed, to make room. Requires: the root stands still. Throws
    /// when not all can be found.
    void find();

    /// To those that were found; what fails is logged.
    void send_all(int signal) const noexcept;

    /// Those that were found, and not been killed.
    std::vector<Member> take() noexcept { return std::move(members_); }

private:
    bool pass();
    bool look_at(pid_t parent, int pidfd);
    bool is_known(pid_t pid) const noexcept;
    bool add(pid_t pid, pid_t parent, int parent_pidfd);
    bool make_room();

    pid_t root_;
    int root_pidfd_;
    std::vector<Member> members_;
    std::vector<pid_t> done_;  ///< spared, ended or killed: nobody reaps them now
};

}  // namespace futures::detail

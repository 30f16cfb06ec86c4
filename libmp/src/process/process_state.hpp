// SPDX-License-Identifier: BSL-1.0
// process_state: what the object of a process, its handles and the list of children
// share.
#pragma once

#include "mp/process.hpp"
#include "mp/thread_safety.hpp"

#include "process/popen.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mp::detail {

struct ProcessState {
    // Set before start(), by the thread that owns the object; `name` under the mutex.
    Creator creator;
    ProcessOptions options;
    std::vector<int> identity;
    AuthenticationString authkey;
    bool daemon = false;
    bool closed = false;
    /// The object of the process that we are, not of a child.
    bool is_current = false;
    // Set by start().
    std::shared_ptr<Popen> popen;
    std::shared_ptr<LinkedPopen> awaited;
    std::optional<Deadline> start_deadline;

    std::string name() {
        const MutexLock held(mutex);
        return given_name;
    }

    void set_name(std::string name) {
        const MutexLock held(mutex);
        given_name = std::move(name);
    }

    Mutex mutex;
    std::string given_name MP_GUARDED_BY(mutex);
};

/// What this process knows of itself.
struct Self {
    std::shared_ptr<ProcessState> state;
    BaseProcess* object = nullptr;
    std::optional<ParentProcess> parent;
};

/// The process that we are; made at first use in the program's first process.
Self& self();

/// This process is now `next`. It has no children yet: it is new, or those of its
/// parent went at the fork.
void become(Self next);

/// In a forked child: `object` is the process that we are.
void settle_in_fork(
    const Preparation& told,
    BaseProcess& object,
    const std::shared_ptr<ProcessState>& state
);

/// The number for the next child's identity.
int next_child_number();

/// A child with its handle of its own: should its start fail, whoever looks at it now
/// is not held up and holds nothing up.
struct RememberedChild {
    std::shared_ptr<ProcessState> state;
    std::shared_ptr<Popen> popen;
};

/// The started children that have not been found to be over.
void remember_child(const std::shared_ptr<ProcessState>& child);
void forget_child(const ProcessState& child);
std::vector<RememberedChild> remembered_children();

/// Reaps and forgets the children that have ended.
void reap_ended_children();

/// Makes sure that at exit daemons are terminated and all children joined.
void join_children_at_exit();

}  // namespace mp::detail

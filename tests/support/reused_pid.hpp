// SPDX-License-Identifier: BSL-1.0
// ReusedPid: a process that has the pid of one that is gone. The kernel gives a pid on
// request to a process with CAP_SYS_ADMIN, which root has; elsewhere there is no way.
#pragma once

#include "support/block_until_killed.hpp"
#include "support/fork_child.hpp"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace test {

class ReusedPid {
public:
    /// Forks a child with this pid, which waits until it is killed by the destructor.
    /// Throws when the pid is in use.
    explicit ReusedPid(pid_t pid) {
        clone_args arguments{};
        arguments.exit_signal = SIGCHLD;
        arguments.set_tid = reinterpret_cast<std::uintptr_t>(&pid);
        arguments.set_tid_size = 1;
        const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child == 0) {
            block_until_killed();
        }
        // ENOSYS and EPERM: a container's filter, or no right to choose.
        if (child < 0 && errno != EPERM && errno != ENOSYS) {
            throw std::system_error(errno, std::generic_category(), "clone3");
        }
        child_ = static_cast<pid_t>(child);
    }

    ~ReusedPid() {
        if (is_permitted()) {
            ::kill(child_, SIGKILL);
            exit_status(child_);
        }
    }

    ReusedPid(const ReusedPid&) = delete;
    ReusedPid& operator=(const ReusedPid&) = delete;

    /// False where this process may not choose a pid: then there is no child.
    bool is_permitted() const { return child_ > 0; }

private:
    pid_t child_ = -1;
};

}  // namespace test

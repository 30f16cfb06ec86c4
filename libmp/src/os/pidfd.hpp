// SPDX-License-Identifier: BSL-1.0
// pidfd: a descriptor for one process, which no reuse of its pid can confuse.
#pragma once

#include "mp/fd.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>

namespace mp::os {

/// Throws std::system_error; ENOSYS means a kernel before Linux 5.3.
UniqueFd pidfd_open(pid_t pid);

/// The same for a child that this process has just made. When it has ended and somebody
/// else has reaped it, a descriptor that reads as that of a process that has ended, of
/// which nothing more is known. If it fails the child is killed and reaped before the
/// exception leaves.
UniqueFd pidfd_of_new_child(pid_t pid);

/// False when the process is gone.
bool pidfd_send_signal(int pidfd, int signal);

/// Has the process ended (reaped or not)? Never blocks.
bool pidfd_ended(int pidfd);

/// How a process ended, as Python says it: its exit code, or -N for signal N.
struct ExitStatus {
    int code = 0;
    bool dumped_core = false;
    std::size_t peak_memory_bytes = 0;     ///< largest resident size; 0 when unknown
    std::chrono::microseconds cpu_time{};  ///< of user and system; 0 when unknown
};

/// Reaps a child of this process that has ended. Nothing when it still runs.
/// Throws std::system_error(ECHILD) when it is no child or somebody else reaped it.
std::optional<ExitStatus> pidfd_reap(int pidfd);

/// What the kernel remembers of a process that somebody else reaped (Linux 6.15).
std::optional<ExitStatus> pidfd_remembered_status(int pidfd);

/// What Python reports when nobody can tell any more how a process ended.
constexpr int unknown_code = 255;

/// The exit code of a child of this process that has ended, which is reaped; what is
/// left to know, or unknown_code, when somebody else reaped it. Nothing when it still
/// runs.
std::optional<int> pidfd_collect(int pidfd);

/// The same, with what else was left to know.
std::optional<ExitStatus> pidfd_collect_status(int pidfd);

/// A wait status (as of waitpid) in Python's form.
ExitStatus exit_status(int wait_status);

}  // namespace mp::os

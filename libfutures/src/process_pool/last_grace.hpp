// SPDX-License-Identifier: BSL-1.0
// last_grace: what a worker's tasks have started, and what has been sent SIGTERM with
// the worker, gets SIGKILL if it is still there half a second after the worker's end.
// As long as the worker lives, it is the worker's.
// Threads: any. One of its own sees to it, and ends when nothing is left to see to; the
//          end of the program waits for that.
#pragma once

#include "mp/process.hpp"

#include "process_pool/process_tree.hpp"

#include <vector>

namespace futures::detail {

/// If that cannot be seen to, they are killed now.
void kill_behind(
    const mp::Process& worker, std::vector<ProcessTree::Member> descendants
) noexcept;

/// A process that is nobody's: kills it, and what it has started, at once. What fails
/// is logged.
void kill_tree(pid_t pid, int pidfd) noexcept;

}  // namespace futures::detail

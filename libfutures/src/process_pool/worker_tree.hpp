// SPDX-License-Identifier: BSL-1.0
// worker_tree: a worker, with all processes that its tasks have started.
#pragma once

#include "mp/process.hpp"

namespace futures::detail {

/// In a worker: what its tasks start stays its descendant, also when a process in
/// between ends (a daemon).
void keep_orphans() noexcept;

/// Sends SIGTERM or SIGKILL to the worker and to every descendant of it. They are found
/// while they stand still, so that none starts another one meanwhile; with SIGTERM they
/// go on then. Spared is a resource tracker, which has to outlive them and ends by
/// itself. May be called for a worker that stands still already. Blocks for
/// milliseconds. Throws as BaseProcess::kill().
void end_worker_tree(const mp::Process& worker, int signal);

}  // namespace futures::detail

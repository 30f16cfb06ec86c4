// SPDX-License-Identifier: BSL-1.0
// worker_tree: a worker, with all processes that its tasks have started.
#pragma once

#include "mp/process.hpp"

namespace futures::detail {

/// Sends SIGTERM or SIGKILL to the worker and to every descendant of it. They are found
/// while they stand still, so that none starts another one meanwhile; with SIGTERM they
/// go on then, and those that are still there half a second after the worker's end get
/// SIGKILL. Spared is a resource tracker, which has to outlive them and ends by itself.
/// May be called for a worker that stands still already. Blocks for milliseconds; for
/// two seconds at most where they start others all the time. Throws as
/// BaseProcess::kill().
void end_worker_tree(const mp::Process& worker, int signal);

}  // namespace futures::detail

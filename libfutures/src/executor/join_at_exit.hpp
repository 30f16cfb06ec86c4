// SPDX-License-Identifier: BSL-1.0
// join_at_exit(): for a thread that cannot be joined now, because it would wait for
// itself.
// Python:  threading's own list of threads, joined as the interpreter ends.
// Differs: only threads of executors, and only those that nobody else joins.
// Threads: any.
#pragma once

#include <thread>

namespace futures::detail {

/// Joins `thread` when the program ends, with the executors (Python's exit order).
void join_at_exit(std::thread thread);

}  // namespace futures::detail

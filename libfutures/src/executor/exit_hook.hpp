// SPDX-License-Identifier: BSL-1.0
// The exit hook of executors: pools finish what was submitted before the program ends,
// and threads that could not be joined earlier are joined.
// Python:  threading._register_atexit, and threading's own list of threads, joined as
//          the interpreter ends.
// Differs: only threads of executors, and only those that are not joined otherwise.
// Threads: any.
#pragma once

#include "util/exit_function.hpp"

#include <memory>
#include <thread>

namespace futures::detail {

/// Calls `pool->finish_at_exit()` as the program ends, if the pool still is. Returns
/// the number for mp::detail::drop_exit_part().
template <class Pool>
int finish_at_exit(std::weak_ptr<Pool> watched) {
    const int part = mp::detail::add_exit_part(
        mp::detail::ExitPhase::executors,
        [watched = std::move(watched)] {
            if (const auto pool = watched.lock()) {
                pool->finish_at_exit();
            }
        }
    );
    mp::detail::ensure_exit_step();
    return part;
}

/// Calls `pool->give_up_at_exit()` before that, while no other executor waits: for what
/// cannot go on if the program ends in a thread of the pool. `part` is the number that
/// finish_at_exit() gave, and is the number of both.
template <class Pool>
void give_up_at_exit(std::weak_ptr<Pool> watched, int part) {
    mp::detail::add_exit_part(
        mp::detail::ExitPhase::own_executor,
        [watched = std::move(watched)] {
            if (const auto pool = watched.lock()) {
                pool->give_up_at_exit();
            }
        },
        part
    );
}

/// Joins `thread` when the program ends, with the executors (Python's exit order): for
/// a thread that cannot be joined now, because it would wait for itself.
void join_at_exit(std::thread thread);

}  // namespace futures::detail

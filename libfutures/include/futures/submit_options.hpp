// SPDX-License-Identifier: BSL-1.0
// SubmitOptions: what a caller says of one task, to either pool.
// Python:  none; pebble's schedule(timeout=...) and the like.
// Differs: nothing to differ from.
// Threads: any; they are values.
#pragma once

#include "futures/retry.hpp"
#include "mp/timeout.hpp"

#include <cstdint>

namespace futures {

/// For one task: `pool.submit({.timeout = 2s, .retries = 1}, fetch, url)`. A thread
/// cannot be stopped from outside: ThreadPoolExecutor::submit() throws
/// std::invalid_argument for what needs that.
struct SubmitOptions {
    /// Longest time to run, decoding of the arguments included, waiting for a worker
    /// not. After it the worker is killed and replaced, the future raises TaskTimeout;
    /// no other task is harmed, the pool does not break. Looked at every 20 ms: a task
    /// is never stopped early. Process pools only.
    mp::Timeout timeout = mp::forever;
    /// How often it is run again: when its worker dies, unless that breaks the pool, or
    /// its time is up, or when it throws what `retry_on` names. One budget for all of
    /// these; when it is spent, the last failure is the future's. Until then the future
    /// is not done, for nobody. Without `retry_on`, of process pools only.
    std::uint32_t retries = 0;
    /// Which exceptions of the task make it run again:
    /// `futures::retry_on<IoError>()`. Without it, none. A thread pool keeps the call
    /// and calls it each time as an lvalue, with its arguments as lvalues.
    RetryOn retry_on = {};
    /// How long it waits before it is run again: a duration, or
    /// `futures::backoff(100ms, 2.0, 5s)`. Meanwhile it can be cancelled.
    RetryDelay retry_delay = {};
    /// Process pools: of the tasks that wait, those with the larger number run first;
    /// equal ones in the order in which they were submitted. Of all tasks that wait,
    /// the one that waits for longest is passed by at most 256 others that came later;
    /// then it is next, whatever its number.
    int priority = 0;
};

namespace detail {

/// Throws std::invalid_argument, naming it, for an option that a thread cannot have.
void check_options_of_thread(const SubmitOptions& options);

}  // namespace detail
}  // namespace futures

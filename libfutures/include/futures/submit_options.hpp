// SPDX-License-Identifier: BSL-1.0
// SubmitOptions: what a caller says of one task, to either pool.
// Python:  none; pebble's schedule(timeout=...) and the like.
// Differs: nothing to differ from.
// Threads: any; they are values.
#pragma once

#include "futures/after.hpp"
#include "futures/limits.hpp"
#include "futures/retry.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace futures {

/// For one task: `pool.submit({.timeout = 2s, .retries = 1}, fetch, url)`. A thread
/// cannot be stopped from outside: ThreadPoolExecutor::submit() throws
/// std::invalid_argument for what needs that.
struct SubmitOptions {
    /// Longest time to run, decoding of the arguments and their destruction included,
    /// waiting for a worker not. Then the task is stopped: this_task().stop_requested()
    /// says so, after `.grace` its worker gets SIGTERM, after `.kill_after` SIGKILL.
    /// The future raises TaskTimeout, the worker is replaced; no other task is harmed,
    /// the pool does not break. A task is never stopped early, and one that ends before
    /// it is stopped has its result. In a thread pool the task is asked to stop, and no
    /// more. 0 and less are std::invalid_argument; for the next two less than 0 is 0.
    mp::Timeout timeout = mp::forever;
    /// How long a task that is to stop may go on after it was asked, before its worker
    /// is ended. mp::forever: it is only asked.
    mp::Timeout grace = std::chrono::seconds(0);
    /// How long its worker may live on after SIGTERM, which ends it at once, unless the
    /// task's code handles it. 0: it gets SIGKILL straight away. Without it, 500 ms.
    /// Process pools only.
    std::optional<mp::Timeout> kill_after = {};
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
    /// Of the tasks that wait, those with the larger number run first; equal ones in
    /// the order in which they were submitted. Of all tasks that wait, the one that
    /// waits for longest is passed by at most 256 others that came later; then it is
    /// next, whatever its number. A task that another one of its pool submits, to a
    /// thread pool or by this_pool(), without a priority, or with 0, has that of the
    /// other one, and goes before those that were given it.
    int priority = 0;
    /// The task begins when these are done: `.after = {f, g}`. If one fails, it is not
    /// run and raises DependencyError; if one is cancelled, CancelledError.
    After after = {};
    /// How much of the machine it may use; each that is left out is the pool's. Process
    /// pools only. std::invalid_argument for one that leaves nothing.
    Limits limits = {};
    /// What messages call it; without it, the function's name.
    std::string name = {};
    /// Of a task that a task submits, see this_pool(): it goes on when that one is
    /// cancelled or times out, or its worker dies. Without, it is cancelled then.
    /// Elsewhere it says nothing; thread pools refuse it.
    bool detached = false;
};

namespace detail {

/// Throws std::invalid_argument, naming it, for an option that no task can have.
void check_options_of_task(const SubmitOptions& options);

/// The same, and for one that a thread cannot have.
void check_options_of_thread(const SubmitOptions& options);

}  // namespace detail
}  // namespace futures

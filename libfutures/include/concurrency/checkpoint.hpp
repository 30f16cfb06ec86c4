// SPDX-License-Identifier: BSL-1.0
// Checkpoints: where a task lets others run, and where it learns that it is cancelled.
// Python:  anyio.lowlevel.checkpoint, checkpoint_if_cancelled,
//          cancel_shielded_checkpoint; anyio.sleep, sleep_until, sleep_forever.
// Differs: check_cancelled() is a plain function, since it never waits. A negative
//          delay means 0.
// Threads: a task of a loop; elsewhere RuntimeError.
// Throws:  Cancelled, while a scope that the task can see is cancelled.
#pragma once

#include "concurrency/clock.hpp"
#include "concurrency/coroutine.hpp"

#include <concepts>

namespace concurrency {

/// Lets every other task that is ready run first. Suspends once. Throws Cancelled if a
/// scope around is cancelled, before or after that.
Task<> checkpoint();

/// Lets every other task that is ready run first, cancelled or not. Suspends once.
Task<> cancel_shielded_checkpoint();

/// Throws Cancelled if a scope around is cancelled; never suspends. In a thread that
/// run_sync() has called it is from_thread::check_cancelled(). Python calls it
/// checkpoint_if_cancelled().
void check_cancelled();

/// Whether check_cancelled() would throw, as the next checkpoint does. Python:
/// has_pending_cancellation().
bool cancel_pending();

namespace detail {

Task<> sleep_for(Delay delay);

}  // namespace detail

/// Suspends for so long, never less; no time, or a negative one, is a checkpoint().
/// Throws Cancelled at once when a scope around is cancelled, and ValueError for what
/// is not a number.
// A template, so that sleep(1) is not the system's sleep(), which would block.
template <std::convertible_to<Delay> Time>
Task<> sleep(Time delay) {
    return detail::sleep_for(delay);
}

/// Suspends until the loop's clock shows this time; one that has passed is a
/// checkpoint(). Throws as sleep().
Task<> sleep_until(Instant deadline);

/// Suspends until it is cancelled.
Task<> sleep_forever();

}  // namespace concurrency

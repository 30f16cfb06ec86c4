// SPDX-License-Identifier: BSL-1.0
// Event: a flag that is set once, and wakes all that wait for it.
// Python:  anyio.Event; lionpride.libs.concurrency.Event and ConcurrencyEvent.
// Differs: nothing. Destroyed while tasks wait for it, it gives them RuntimeError.
// Threads: its loop's. Without tasks that wait, any.
// Throws:  RuntimeError, in another loop than that of the tasks that wait, or outside.
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/claim.hpp"

#include <cstddef>

namespace concurrency {

/// What Event::statistics() gives.
struct EventStatistics {
    std::size_t tasks_waiting;  ///< Tasks in wait().
};

/// A flag that tasks wait for. It is never cleared: another round takes another Event.
class Event {
public:
    Event() noexcept = default;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    /// Sets the flag, if it was not set, and wakes every task that waits; they run in
    /// the order in which they came. Works outside a loop, too, while none waits. Never
    /// suspends.
    void set();

    /// Whether the flag is set.
    bool is_set() const noexcept { return is_set_; }

    /// Suspends until the flag is set; when it is set already, this is a checkpoint().
    /// Throws Cancelled if a scope around is cancelled, and before it was set: a task
    /// that was woken for the event returns. RuntimeError outside a loop.
    Task<> wait();

    /// Who waits.
    EventStatistics statistics() const noexcept { return {waiters_.size()}; }

private:
    bool is_set_ = false;
    detail::ClaimQueue waiters_;
};

/// Another name of Event, for programs that have an Event of their own.
using ConcurrencyEvent = Event;

}  // namespace concurrency

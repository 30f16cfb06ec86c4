// SPDX-License-Identifier: BSL-1.0
// Condition: a lock, and tasks that wait for a change of what it protects.
// Python:  anyio.Condition; lionpride.libs.concurrency.Condition.
// Differs: `async with condition:` is `auto guard = co_await condition.scoped();`. Who
//          has the lock is asked of the lock, however it was acquired.
// Threads: its loop's.
// Throws:  RuntimeError, without the lock, outside a loop or in another one;
//          BrokenResourceError, as Lock.
// Read next: src/concurrency/primitives/condition.cpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/claim.hpp"
#include "concurrency/lock.hpp"

#include <cstddef>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>

namespace concurrency {

/// What Condition::statistics() gives.
struct ConditionStatistics {
    std::size_t tasks_waiting;       ///< Tasks in wait() that were not notified yet.
    LockStatistics lock_statistics;  ///< Of the lock; it counts those that were.
};

/// A condition variable. A task that has the lock waits for a notification, without the
/// lock meanwhile; another one that has the lock notifies, when it has changed
/// something.
class Condition {
public:
    /// Holds the lock.
    using Guard = Lock::Guard;

    /// With a lock of its own.
    Condition() noexcept : lock_(&own_lock_) {}

    /// With this lock, which lives longer, and may be that of other conditions, too.
    explicit Condition(Lock& lock) noexcept : lock_(&lock) {}

    /// The same; null for a lock of its own.
    explicit Condition(Lock* lock) noexcept
        : lock_(lock != nullptr ? lock : &own_lock_) {}

    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;

    /// Tasks that wait for it get RuntimeError, and do not have the lock.
    ~Condition() = default;

    /// Waits for the lock: Lock::acquire().
    Task<> acquire() { return lock_->acquire(); }

    /// Waits for the lock, and gives a guard that releases it: Lock::scoped().
    Task<Guard> scoped() { return lock_->scoped(); }

    /// Takes the lock if it is free: Lock::acquire_nowait().
    void acquire_nowait() { lock_->acquire_nowait(); }

    /// Releases the lock: Lock::release().
    void release() { lock_->release(); }

    /// Whether a task has the lock.
    bool locked() const noexcept { return lock_->locked(); }

    /// Releases the lock, suspends until it is notified, and has the lock again when it
    /// returns. Throws Cancelled if a scope around is cancelled before it was notified,
    /// and has the lock then as well: waiting for that is not cancelled. Throws
    /// RuntimeError when this task does not have the lock; BrokenResourceError when it
    /// cannot get it back, because its owner ended without releasing it.
    Task<> wait();

    /// Waits until predicate() is true, which is asked with the lock, at first and
    /// after each notification; gives what it returned. Throws as wait(), and what the
    /// predicate throws.
    template <class Predicate>
        requires std::is_constructible_v<bool, std::invoke_result_t<Predicate&>>
    auto wait_for(Predicate&& predicate) {
        detail::check_awaited_callable<Predicate>();
        return wait_until<std::decay_t<Predicate>>(std::forward<Predicate>(predicate));
    }

    /// Wakes the `n` tasks that wait longest, or as many as there are; they go on one
    /// after the other, when they have got the lock. Throws RuntimeError when this task
    /// does not have it.
    void notify(std::size_t n = 1);

    /// Wakes all.
    void notify_all() { notify(std::numeric_limits<std::size_t>::max()); }

    /// Throws std::bad_alloc.
    ConditionStatistics statistics() const;

private:
    class Claim;

    /// Throws RuntimeError when this task does not have the lock.
    void check_owner() const;

    template <class Predicate>
    Task<std::decay_t<std::invoke_result_t<Predicate&>>> wait_until(Predicate predicate
    ) {
        check_owner();
        for (;;) {
            std::decay_t<std::invoke_result_t<Predicate&>> result =
                std::invoke(predicate);
            if (result) {
                co_return std::move(result);
            }
            co_await wait();
        }
    }

    Lock own_lock_;  // unused with one that was given
    Lock* lock_;
    detail::ClaimQueue waiters_;  // Claim of this class, all of them
};

}  // namespace concurrency

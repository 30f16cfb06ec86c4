// SPDX-License-Identifier: BSL-1.0
// Lock: one task at a time.
// Python:  anyio.Lock, trio.StrictFIFOLock; lionpride.libs.concurrency.Lock.
// Differs: `async with lock:` is `auto guard = co_await lock.scoped();`. A free lock is
//          taken without letting other tasks run, as with fast_acquire. A lock whose
//          owner ended without releasing it is broken for good, as in trio.
// Threads: its loop's.
// Throws:  RuntimeError, outside a loop or in another one; BrokenResourceError.
// Read next: src/concurrency/primitives/lock.cpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/detail/claim.hpp"
#include "concurrency/guard.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace concurrency {

/// What Lock::statistics() gives.
struct LockStatistics {
    bool locked;                    ///< Whether acquire() would have to wait.
    std::optional<TaskInfo> owner;  ///< The task that holds it; none of a broken lock.
    std::size_t tasks_waiting;      ///< Tasks in acquire() and scoped().
};

/// A mutex between the tasks of a loop. It belongs to the task that acquired it, which
/// cannot acquire it again and is the only one to release it; it goes to the task that
/// waits longest, so that nobody overtakes.
class Lock final : private detail::Held {
public:
    /// Holds the lock; see Guard. One that another task destroys releases the lock for
    /// its owner.
    using Guard = concurrency::Guard<Lock, std::uint64_t>;

    Lock() noexcept = default;

    /// Tasks that wait for it get RuntimeError.
    ~Lock() = default;

    /// Waits for the lock. Does not suspend when it is free, but for one time in 256;
    /// throws Cancelled if a scope around is cancelled before it got the lock. A task
    /// that was given it and then cancelled has it. Throws RuntimeError when this task
    /// has it already, BrokenResourceError when its owner ended without releasing it.
    Task<> acquire();

    /// Waits for the lock as acquire() does, and gives a guard that releases it.
    Task<Guard> scoped();

    /// Takes the lock if it is free, else throws WouldBlock. RuntimeError and
    /// BrokenResourceError as acquire(); never suspends.
    void acquire_nowait();

    /// Gives the lock to the task that waits longest, or frees it. Throws RuntimeError
    /// when this task does not have it.
    void release();

    /// Whether a task has it, or did when it ended.
    bool locked() const noexcept { return owner_ != nullptr || ended_owner_ != 0; }

    /// Throws std::bad_alloc.
    LockStatistics statistics() const;

private:
    friend class Condition;
    friend class concurrency::Guard<Lock, std::uint64_t>;

    class Claim;
    class Request;

    void owner_ended() noexcept override;

    void release(std::uint64_t owner);
    void give_back(std::uint64_t owner) noexcept;

    /// Throws when this task cannot have it even later. Requires: it is locked.
    void check_obtainable(const detail::LoopTask& task) const;
    void check_owner(const detail::LoopTask& task) const;

    void set_owner(detail::LoopTask& task) noexcept;
    /// The next one has it, if there is any.
    void pass_on() noexcept;
    /// It is given to this one in its turn, which may be now.
    void give_in_turn(Claim& claim) noexcept;

    detail::LoopTask* owner_ = nullptr;
    std::uint64_t ended_owner_ = 0;  // the id of the task that broke it
    detail::ClaimQueue waiters_;     // Claim of this class, all of them
};

}  // namespace concurrency

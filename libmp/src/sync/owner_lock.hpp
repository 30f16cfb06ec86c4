// SPDX-License-Identifier: BSL-1.0
// OwnerLock: a lock in shared memory that knows which process holds it, so that it goes
// on when that process dies. See docs/protocols/lock.md.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include "memory/process_table.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mp::detail {

/// How long a thread sleeps before it looks again whether the one that should wake it
/// is alive.
inline constexpr auto recheck_interval = std::chrono::milliseconds(20);

/// What to do about a lock whose owner is dead.
enum class DeadOwner : std::uint8_t {
    take,   ///< take it and say so
    leave,  ///< leave it to a thread that asks to take
};

enum class Taken : std::uint8_t {
    no,  ///< another thread held it until the deadline
    yes,
    from_dead,  ///< with DeadOwner::leave: it is a dead owner's, and not taken
};

/// Zeroed memory is a free lock. All members are for any process.
class OwnerLock {
public:
    /// The highest bit of the word: a thread may sleep on it.
    static constexpr std::uint32_t waiters = 1U << 31U;

    /// Without contention: one compare-and-swap. `done`, if there is one, counts what
    /// its holders did.
    Taken acquire(
        ProcessTable& processes,
        Timeout timeout,
        DeadOwner dead_owner = DeadOwner::take,
        const std::atomic<std::uint64_t>* done = nullptr
    ) {
        const ProcessTable::Id me = processes.self();
        std::uint32_t seen = 0;
        // order: acquire, pairs with release(), so that what the last holder did is
        // seen.
        if (word_.compare_exchange_strong(
                seen, me, std::memory_order_acquire, std::memory_order_relaxed
            )) [[likely]] {
            return Taken::yes;
        }
        return acquire_slowly(processes, me, seen, timeout, dead_owner, done);
    }

    /// By any thread of any process. False if it was free.
    bool release() noexcept;

    /// The word without its bit: 0 or the id of the holder, which may be dead.
    ProcessTable::Id owner() const noexcept {
        // order: acquire, pairs with release(), so that a thread which finds it free
        // sees what the last holder did.
        return word_.load(std::memory_order_acquire) & ~waiters;
    }

    /// Held by a process that is dead. One that released it before it ended, between
    /// the two looks here, is none: a dead owner changes nothing any more.
    bool is_orphaned(const ProcessTable& processes) const noexcept {
        const ProcessTable::Id id = owner();
        return id != 0 && processes.dead(id, ProcessTable::Look::thorough) &&
               owner() == id;
    }

private:
    Taken acquire_slowly(
        const ProcessTable& processes,
        ProcessTable::Id me,
        std::uint32_t seen,
        Timeout timeout,
        DeadOwner dead_owner,
        const std::atomic<std::uint64_t>* done
    );

    bool is_still_of(ProcessTable::Id owner, std::uint32_t& seen) const noexcept;
    bool take_from_dead(ProcessTable::Id me, std::uint32_t& seen) noexcept;
    bool mark_and_sleep(std::uint32_t& seen, const Deadline& deadline) noexcept;

    FutexWord word_;
};

}  // namespace mp::detail

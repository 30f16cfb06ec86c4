// SPDX-License-Identifier: BSL-1.0
// HeldLock: what Lock and RLock are in shared memory. An OwnerLock that also knows the
// thread that holds it, how often it was taken, and which deaths have not been told.
#pragma once

#include "mp/timeout.hpp"

#include "memory/process_table.hpp"
#include "sync/owner_lock.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <string>

namespace mp::detail {

/// Zeroed memory is a free lock. All members are for any process.
struct alignas(64) HeldLock {
    OwnerLock lock;
    std::uint32_t depth;                ///< guarded by the lock; see set_depth()
    std::atomic<std::uint64_t> holder;  ///< process and thread; 0 while it is free
    std::atomic<std::uint32_t> deaths;  ///< how many owners died
    std::atomic<std::uint32_t> told;    ///< how many of them were asked for
    std::uint64_t depth_seal;           ///< goes with the depth and its thread

    /// Process and thread of the caller, as in `holder`.
    static std::uint64_t caller(ProcessTable& processes);

    bool is_callers(ProcessTable& processes) const {
        // order: relaxed, because only the thread itself writes its own value.
        return holder.load(std::memory_order_relaxed) == caller(processes);
    }

    Taken acquire(ProcessTable& processes, Timeout timeout, DeadOwner dead_owner);

    /// Takes it again if the thread has it.
    Taken
    acquire_recursively(ProcessTable& processes, Timeout timeout, DeadOwner dead_owner);

    /// The forms for std::unique_lock and the like, which can say no more than yes or
    /// no: as the two above, but throw OwnerDied as long as there is a report, and then
    /// do not hold it. `what` names the lock.
    bool lock_for_std(ProcessTable& processes, Timeout timeout, const char* what);
    bool lock_for_std_recursively(
        ProcessTable& processes, Timeout timeout, const char* what
    );

    /// By any thread of any process. Throws std::invalid_argument if it was free.
    void release(ProcessTable& processes);

    /// By the thread that has it. Throws StateError; DamagedError as checked_depth().
    void release_recursively(ProcessTable& processes);

    /// By the thread that has it, `who` as caller() says.
    void set_depth(std::uint64_t who, std::uint32_t how_often) noexcept;

    /// By the thread that has it: its depth. Throws DamagedError, and then the lock is
    /// released and a death reported, when a process has written over it.
    std::uint32_t checked_depth(ProcessTable& processes);

    /// For conditions: releases it whatever its depth.
    void release_all() noexcept;

    /// There is a death that no process has asked for.
    bool has_report() const noexcept { return deaths.load() != told.load(); }

    [[noreturn]] void throw_damaged(ProcessTable& processes);

    /// As Python's repr() says it: "None", the process's own name, "SomeOtherProcess" …
    std::string owner_text(ProcessTable& processes, const std::string& own_name) const;
};

static_assert(sizeof(HeldLock) == 64);

// A std::unique_lock unlocks in its destructor, which must not throw: the calling
// thread knows what it has locked, whatever a process has written over the lock
// meanwhile.

/// After lock() and the like.
void note_lock_for_std(const HeldLock& lock) noexcept;

/// Whether this thread locked it so, and has not unlocked it. It counts as unlocked.
bool forget_lock_for_std(const HeldLock& lock) noexcept;

void log_damaged_unlock(const std::exception& error) noexcept;

/// release(); what it throws is logged when this thread has locked it.
template <class Release>
void unlock_for_std(const HeldLock& lock, Release release) {
    const bool was_locked = forget_lock_for_std(lock);
    try {
        release();
    } catch (const std::exception& error) {
        if (!was_locked) {
            throw;
        }
        log_damaged_unlock(error);
    }
}

}  // namespace mp::detail

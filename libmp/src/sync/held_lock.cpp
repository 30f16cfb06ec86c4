// SPDX-License-Identifier: BSL-1.0
// Which thread holds a lock how often, and the reports of dead owners.
#include "sync/held_lock.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "sync/this_thread.hpp"
#include "util/diagnostics.hpp"

#include <array>
#include <stdexcept>

namespace mp::detail {

namespace {

constexpr std::uint64_t seal_of(std::uint64_t who, std::uint32_t depth) noexcept {
    return (who + depth) * 0x9e37'79b9'7f4a'7c15ULL;
}

[[noreturn]] void throw_owner_died(const char* what) {
    throw OwnerDied(
        std::string("the process that held ") + what +
        " died inside; acquire() gets it, and its result says so"
    );
}

/// Locks of which a thread knows itself that it has them. With more than there is room
/// for, the first ones are forgotten.
class OwnLocks {
public:
    /// `who` tells the thread from the one that a fork makes of it.
    void note(const HeldLock& lock, std::uint64_t who) noexcept {
        locks_[count_++ % locks_.size()] = {&lock, who};
    }

    bool forget(const HeldLock& lock, std::uint64_t who) noexcept {
        for (unsigned back = 1; back <= locks_.size(); ++back) {
            Own& found = locks_[(count_ - back) % locks_.size()];
            if (found.lock == &lock && found.who == who) {
                found = {};
                count_ -= back == 1 ? 1 : 0;
                return true;
            }
        }
        return false;
    }

private:
    struct Own {
        const HeldLock* lock = nullptr;
        std::uint64_t who = 0;
    };

    std::array<Own, 32> locks_{};
    unsigned count_ = 0;
};

thread_local OwnLocks locked_for_std;
thread_local OwnLocks held_recursively;

}  // namespace

void note_lock_for_std(const HeldLock& lock) noexcept {
    locked_for_std.note(lock, 0);
}

bool forget_lock_for_std(const HeldLock& lock) noexcept {
    return locked_for_std.forget(lock, 0);
}

void log_damaged_unlock(const std::exception& error) noexcept {
    log_error(error.what());
}

std::uint64_t HeldLock::caller(ProcessTable& processes) {
    return static_cast<std::uint64_t>(processes.self()) << 32U | thread_number();
}

Taken HeldLock::acquire(
    ProcessTable& processes, Timeout timeout, DeadOwner dead_owner
) {
    const Taken taken = lock.acquire(processes, timeout, dead_owner);
    if (taken == Taken::no) {
        return taken;
    }
    if (taken == Taken::from_dead) {
        if (dead_owner == DeadOwner::leave) {
            return taken;
        }
        MP_FAILPOINT("lock: before the report");
        deaths.fetch_add(1);
        MP_FAILPOINT("lock: reported");
    }
    const std::uint64_t who = caller(processes);
    set_depth(who, 1);
    // order: relaxed, because only this thread compares it with its own value.
    holder.store(who, std::memory_order_relaxed);
    return taken;
}

Taken HeldLock::acquire_recursively(
    ProcessTable& processes, Timeout timeout, DeadOwner dead_owner
) {
    if (is_callers(processes)) {
        const std::uint32_t before = checked_depth(processes);
        if (before == UINT32_MAX) {
            throw StateError("a recursive lock was acquired too often");
        }
        set_depth(caller(processes), before + 1);
        return Taken::yes;
    }
    const Taken taken = acquire(processes, timeout, dead_owner);
    if (taken == Taken::yes ||
        (taken == Taken::from_dead && dead_owner == DeadOwner::take)) {
        held_recursively.note(*this, caller(processes));
    }
    return taken;
}

bool HeldLock::lock_for_std(
    ProcessTable& processes, Timeout timeout, const char* what
) {
    const Taken taken = acquire(processes, timeout, DeadOwner::leave);
    if (taken == Taken::yes && has_report()) {
        release(processes);
    } else if (taken != Taken::from_dead) {
        return taken == Taken::yes;
    }
    throw_owner_died(what);
}

bool HeldLock::lock_for_std_recursively(
    ProcessTable& processes, Timeout timeout, const char* what
) {
    if (is_callers(processes)) {
        return acquire_recursively(processes, timeout, DeadOwner::leave) == Taken::yes;
    }
    const bool taken = lock_for_std(processes, timeout, what);
    if (taken) {
        held_recursively.note(*this, caller(processes));
    }
    return taken;
}

void HeldLock::release(ProcessTable& processes) {
    const ProcessTable::Id owner = lock.owner();
    if (owner == 0) {
        throw std::invalid_argument("a lock was released that nobody holds");
    }
    if (owner != processes.self() && lock.is_orphaned(processes)) {
        // A process that releases for a dead one does not know what that left behind.
        deaths.fetch_add(1);
    }
    // order: relaxed, the lock itself orders it.
    holder.store(0, std::memory_order_relaxed);
    lock.release();
}

void HeldLock::release_recursively(ProcessTable& processes) {
    if (!is_callers(processes)) {
        // This thread may know better.
        if (held_recursively.forget(*this, caller(processes)) &&
            lock.owner() == processes.self()) {
            throw_damaged(processes);
        }
        throw StateError(
            "a recursive lock was released by a thread that does not own it"
        );
    }
    const std::uint32_t left = checked_depth(processes) - 1;
    set_depth(caller(processes), left);
    if (left == 0) {
        held_recursively.forget(*this, caller(processes));
        // order: relaxed, the lock itself orders it.
        holder.store(0, std::memory_order_relaxed);
        lock.release();
    }
}

void HeldLock::set_depth(std::uint64_t who, std::uint32_t how_often) noexcept {
    depth = how_often;
    depth_seal = seal_of(who, how_often);
}

std::uint32_t HeldLock::checked_depth(ProcessTable& processes) {
    const volatile std::uint32_t& once = depth;
    const std::uint32_t found = once;
    if (found == 0 || depth_seal != seal_of(caller(processes), found)) [[unlikely]] {
        throw_damaged(processes);
    }
    return found;
}

void HeldLock::throw_damaged(ProcessTable& processes) {
    held_recursively.forget(*this, caller(processes));
    // What it protects may be half-changed, too: the next one that takes it is told.
    deaths.fetch_add(1);
    release_all();
    throw DamagedError(
        "a lock is damaged: a process has written over it; it was released"
    );
}

void HeldLock::release_all() noexcept {
    // order: relaxed, the lock itself orders it.
    holder.store(0, std::memory_order_relaxed);
    lock.release();
}

std::string
HeldLock::owner_text(ProcessTable& processes, const std::string& own_name) const {
    const ProcessTable::Id owner = lock.owner();
    if (owner == 0 || lock.is_orphaned(processes)) {
        return "None";
    }
    if (owner != processes.self()) {
        return "SomeOtherProcess";
    }
    if (!is_callers(processes)) {
        return "SomeOtherThread";
    }
    const std::string thread = thread_name();
    return thread.empty() ? own_name : own_name + "|" + thread;
}

}  // namespace mp::detail

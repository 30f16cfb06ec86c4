// SPDX-License-Identifier: BSL-1.0
// Which thread holds a lock how often, and the reports of dead owners.
#include "sync/held_lock.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "sync/this_thread.hpp"

#include <stdexcept>

namespace mp::detail {

namespace {

[[noreturn]] void throw_owner_died(const char* what) {
    throw OwnerDied(
        std::string("the process that held ") + what +
        " died inside; acquire() gets it, and its result says so"
    );
}

}  // namespace

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
    depth = 1;
    // order: relaxed, because only this thread compares it with its own value.
    holder.store(caller(processes), std::memory_order_relaxed);
    return taken;
}

Taken HeldLock::acquire_recursively(
    ProcessTable& processes, Timeout timeout, DeadOwner dead_owner
) {
    if (is_callers(processes)) {
        if (depth == UINT32_MAX) {
            throw StateError("a recursive lock was acquired too often");
        }
        ++depth;
        return Taken::yes;
    }
    return acquire(processes, timeout, dead_owner);
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
    return is_callers(processes)
               ? acquire_recursively(processes, timeout, DeadOwner::leave) == Taken::yes
               : lock_for_std(processes, timeout, what);
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
        throw StateError(
            "a recursive lock was released by a thread that does not own it"
        );
    }
    if (--depth == 0) {
        // order: relaxed, the lock itself orders it.
        holder.store(0, std::memory_order_relaxed);
        lock.release();
    }
}

std::uint32_t HeldLock::release_all() noexcept {
    const std::uint32_t before = depth;
    // order: relaxed, the lock itself orders it.
    holder.store(0, std::memory_order_relaxed);
    lock.release();
    return before;
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

// SPDX-License-Identifier: BSL-1.0
// The handle of a condition: its lock, and the waiters in their slots.
#include "mp/condition.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "sync/held_lock.hpp"
#include "sync/waiter_slots.hpp"

#include <limits>
#include <string>

namespace mp {

namespace {

using detail::DeadOwner;
using detail::HeldLock;
using detail::Taken;
using detail::WaiterSlots;

HeldLock& lock_of(const detail::SharedBlock& block) {
    return block.checked<HeldLock>("a Condition");
}

WaiterSlots& slots_of(const detail::SharedBlock& block) {
    return block.checked<WaiterSlots>("a Condition");
}

constexpr int everybody = std::numeric_limits<int>::max();

}  // namespace

Condition::Condition(detail::SharedBlock lock, bool recursive)
    : lock_(std::move(lock)),
      slots_(detail::SharedBlock::allocate(sizeof(WaiterSlots))),
      recursive_(recursive) {
    lock_of(lock_);
}

Condition::Condition(const RLock& lock) : Condition(lock.block_, true) {}

Condition::Condition(const Lock& lock) : Condition(lock.block_, false) {}

AcquireResult Condition::acquire(Timeout timeout) {
    HeldLock& lock = lock_of(lock_);
    detail::ProcessTable& processes = lock_.processes();
    const Taken taken =
        recursive_ ? lock.acquire_recursively(processes, timeout, DeadOwner::take)
                   : lock.acquire(processes, timeout, DeadOwner::take);
    if (taken == Taken::no) {
        return AcquireResult(false);
    }
    if (taken == Taken::from_dead) {
        slots_of(slots_).notify(processes, everybody);
    }
    return detail::held_result(lock_, lock);
}

void Condition::release() {
    HeldLock& lock = lock_of(lock_);
    if (recursive_) {
        lock.release_recursively(lock_.processes());
    } else {
        lock.release(lock_.processes());
    }
}

void Condition::unlock() {
    detail::unlock_for_std(lock_of(lock_), [this] { release(); });
}

void Condition::lock() {
    HeldLock& lock = lock_of(lock_);
    if (recursive_) {
        lock.lock_for_std_recursively(lock_.processes(), forever, "a Condition's lock");
    } else {
        lock.lock_for_std(lock_.processes(), forever, "a Condition's lock");
    }
    detail::note_lock_for_std(lock);
}

bool Condition::try_lock() {
    HeldLock& lock = lock_of(lock_);
    const Timeout none = std::chrono::seconds(0);
    const bool taken =
        recursive_ ? lock.lock_for_std_recursively(
                         lock_.processes(), none, "a Condition's lock"
                     )
                   : lock.lock_for_std(lock_.processes(), none, "a Condition's lock");
    if (taken) {
        detail::note_lock_for_std(lock);
    }
    return taken;
}

HeldLock& Condition::owned_lock(const char* what) const {
    HeldLock& lock = lock_of(lock_);
    if (!lock.is_callers(lock_.processes())) {
        throw StateError(
            std::string(what) + ": the calling thread does not hold the lock of the "
                                "condition"
        );
    }
    lock.checked_depth(lock_.processes());
    return lock;
}

bool Condition::wait(Timeout timeout) {
    HeldLock& lock = owned_lock("wait");
    detail::ProcessTable& processes = lock_.processes();
    WaiterSlots& slots = slots_of(slots_);
    const Deadline deadline(timeout);
    const std::uint32_t depth = lock.checked_depth(processes);
    const auto place = slots.enter(processes);
    if (!place) {
        throw ResourceLimitExceeded(
            "more than " + std::to_string(WaiterSlots::capacity) +
            " wait for one condition"
        );
    }
    lock.release_all();
    MP_FAILPOINT("condition: lock released");
    const bool notified = slots.sleep(*place, processes, lock.lock, deadline);
    MP_FAILPOINT("condition: before the lock");
    const Taken taken = lock.acquire(processes, forever, DeadOwner::take);
    MP_FAILPOINT("condition: lock taken again");
    lock.set_depth(HeldLock::caller(processes), depth);
    if (notified) {
        // Not before: until it had the lock, its notice was another's if it died.
        slots.leave(*place);
    }
    MP_FAILPOINT("condition: place left");
    if (taken == Taken::from_dead) {
        slots.notify(processes, everybody);
        return true;
    }
    return notified;
}

void Condition::notify(int count) {
    owned_lock("notify");
    slots_of(slots_).notify(lock_.processes(), count);
}

void Condition::notify_all() {
    notify(everybody);
}

int Condition::waiting() const {
    return slots_of(slots_).waiting();
}

}  // namespace mp

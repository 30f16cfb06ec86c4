// SPDX-License-Identifier: BSL-1.0
// The handle of a HeldLock, plain or recursive.
#include "mp/detail/lock_base.hpp"

#include "mp/process.hpp"

#include "sync/held_lock.hpp"

#include <chrono>

namespace mp::detail {

namespace {

bool lock_for_std(
    LockKind kind,
    HeldLock& held,
    ProcessTable& processes,
    Timeout timeout,
    const char* what
) {
    return kind == LockKind::recursive
               ? held.lock_for_std_recursively(processes, timeout, what)
               : held.lock_for_std(processes, timeout, what);
}

}  // namespace

template <LockKind kind>
LockBase<kind>::LockBase() : block_(SharedBlock::allocate(sizeof(HeldLock))) {}

template <LockKind kind>
HeldLock& LockBase<kind>::state() const {
    return block_.checked<HeldLock>(name);
}

template <LockKind kind>
AcquireResult LockBase<kind>::acquire(Timeout timeout) {
    HeldLock& held = state();
    ProcessTable& processes = block_.processes();
    const Taken taken =
        kind == LockKind::recursive
            ? held.acquire_recursively(processes, timeout, DeadOwner::take)
            : held.acquire(processes, timeout, DeadOwner::take);
    return taken == Taken::no ? AcquireResult(false) : held_result(block_, held);
}

template <LockKind kind>
void LockBase<kind>::release() {
    HeldLock& held = state();
    if (kind == LockKind::recursive) {
        held.release_recursively(block_.processes());
    } else {
        held.release(block_.processes());
    }
}

template <LockKind kind>
void LockBase<kind>::unlock() {
    unlock_for_std(state(), [this] { release(); });
}

template <LockKind kind>
bool LockBase<kind>::locked() const {
    const OwnerLock& lock = state().lock;
    return lock.owner() != 0 && !lock.is_orphaned(block_.processes());
}

template <LockKind kind>
void LockBase<kind>::lock() {
    HeldLock& held = state();
    lock_for_std(kind, held, block_.processes(), forever, name);
    note_lock_for_std(held);
}

template <LockKind kind>
bool LockBase<kind>::try_lock() {
    HeldLock& held = state();
    const bool taken =
        lock_for_std(kind, held, block_.processes(), std::chrono::seconds(0), name);
    if (taken) {
        note_lock_for_std(held);
    }
    return taken;
}

template <LockKind kind>
std::string LockBase<kind>::owner_text() const {
    const HeldLock& held = state();
    return held.owner_text(block_.processes(), current_process().name());
}

template class LockBase<LockKind::plain>;
template class LockBase<LockKind::recursive>;

}  // namespace mp::detail

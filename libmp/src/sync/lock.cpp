// SPDX-License-Identifier: BSL-1.0
#include "mp/lock.hpp"

#include "mp/process.hpp"

#include "sync/held_lock.hpp"

namespace mp {

namespace {

using detail::DeadOwner;
using detail::HeldLock;
using detail::Taken;

HeldLock& state_of(const detail::SharedBlock& block) {
    return block.checked<HeldLock>("a Lock");
}

}  // namespace

Lock::Lock() : block_(detail::SharedBlock::allocate(sizeof(HeldLock))) {}

AcquireResult Lock::acquire(Timeout timeout) {
    HeldLock& state = state_of(block_);
    const Taken taken = state.acquire(block_.processes(), timeout, DeadOwner::take);
    return taken == Taken::no ? AcquireResult(false)
                              : detail::held_result(block_, state);
}

void Lock::release() {
    state_of(block_).release(block_.processes());
}

bool Lock::locked() const {
    const detail::OwnerLock& lock = state_of(block_).lock;
    return lock.owner() != 0 && !lock.is_orphaned(block_.processes());
}

void Lock::lock() {
    state_of(block_).lock_for_std(block_.processes(), forever, "a Lock");
}

bool Lock::try_lock() {
    return state_of(block_).lock_for_std(
        block_.processes(), std::chrono::seconds(0), "a Lock"
    );
}

std::string to_string(const Lock& lock) {
    HeldLock& state = state_of(lock.block_);
    detail::ProcessTable& processes = lock.block_.processes();
    return "<Lock(owner=" + state.owner_text(processes, current_process().name()) +
           ")>";
}

}  // namespace mp

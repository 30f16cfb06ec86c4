// SPDX-License-Identifier: BSL-1.0
#include "mp/rlock.hpp"

#include "mp/process.hpp"

#include "sync/held_lock.hpp"

namespace mp {

namespace {

using detail::DeadOwner;
using detail::HeldLock;
using detail::Taken;

HeldLock& state_of(const detail::SharedBlock& block) {
    return block.checked<HeldLock>("an RLock");
}

}  // namespace

RLock::RLock() : block_(detail::SharedBlock::allocate(sizeof(HeldLock))) {}

AcquireResult RLock::acquire(Timeout timeout) {
    HeldLock& state = state_of(block_);
    const Taken taken =
        state.acquire_recursively(block_.processes(), timeout, DeadOwner::take);
    return taken == Taken::no ? AcquireResult(false)
                              : detail::held_result(block_, state);
}

void RLock::release() {
    state_of(block_).release_recursively(block_.processes());
}

bool RLock::locked() const {
    const detail::OwnerLock& lock = state_of(block_).lock;
    return lock.owner() != 0 && !lock.is_orphaned(block_.processes());
}

void RLock::lock() {
    state_of(block_).lock_for_std_recursively(block_.processes(), forever, "an RLock");
}

bool RLock::try_lock() {
    return state_of(block_).lock_for_std_recursively(
        block_.processes(), std::chrono::seconds(0), "an RLock"
    );
}

std::string to_string(const RLock& lock) {
    HeldLock& state = state_of(lock.block_);
    detail::ProcessTable& processes = lock.block_.processes();
    const std::string owner = state.owner_text(processes, current_process().name());
    const bool other = owner.rfind("SomeOther", 0) == 0;
    const std::string count = owner == "None" ? "0"
                              : other         ? "nonzero"
                                              : std::to_string(state.depth);
    return "<RLock(owner=" + owner + ", count=" + count + ")>";
}

}  // namespace mp

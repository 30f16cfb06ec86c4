// SPDX-License-Identifier: BSL-1.0
// Which deaths a result reports, and that they were asked for.
#include "mp/acquire_result.hpp"

#include "mp/detail/shared_block.hpp"

#include "sync/held_lock.hpp"

namespace mp {

namespace detail {

struct DeathReport {
    SharedBlock block;
    HeldLock* lock = nullptr;
    std::uint32_t deaths = 0;
};

AcquireResult held_result(const SharedBlock& block, HeldLock& lock) {
    if (!lock.has_report()) [[likely]] {
        return AcquireResult(true);
    }
    return AcquireResult(std::make_shared<const DeathReport>(DeathReport{
        .block = block, .lock = &lock, .deaths = lock.deaths.load()}));
}

}  // namespace detail

bool AcquireResult::owner_died() const noexcept {
    if (!report_) {
        return false;
    }
    // Only forward: a later death is still to be told.
    std::uint32_t told = report_->lock->told.load();
    while (static_cast<std::int32_t>(report_->deaths - told) > 0 &&
           !report_->lock->told.compare_exchange_weak(told, report_->deaths)) {
    }
    return true;
}

}  // namespace mp

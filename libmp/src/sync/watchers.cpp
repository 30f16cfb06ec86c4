// SPDX-License-Identifier: BSL-1.0
// Places that watchers take, leave, and are taken from the dead.
#include "sync/watchers.hpp"

#include "os/failpoint.hpp"

#include <algorithm>

namespace mp::detail {

bool Watchers::watches(Waiter waiter, const ProcessTable& processes) noexcept {
    for (const auto& place : waiters_) {
        const Waiter seen = place.load();
        if (seen != 0 && process_of(seen) == process_of(waiter)) {
            return seen == waiter;
        }
    }
    for (auto& place : waiters_) {
        Waiter seen = place.load();
        if ((seen == 0 || processes.dead(process_of(seen))) &&
            place.compare_exchange_strong(seen, waiter)) {
            MP_FAILPOINT("watchers: place taken");
            return true;
        }
    }
    return false;
}

bool Watchers::leave(Waiter waiter) noexcept {
    for (auto& place : waiters_) {
        Waiter seen = waiter;
        if (place.load() == waiter && place.compare_exchange_strong(seen, 0)) {
            MP_FAILPOINT("watchers: place left");
            return true;
        }
    }
    return false;
}

bool Watchers::has_room(const ProcessTable& processes) const noexcept {
    return std::any_of(waiters_.begin(), waiters_.end(), [&](const auto& place) {
        const Waiter seen = place.load();
        return seen == 0 || processes.dead(process_of(seen));
    });
}

bool Watchers::has_one_of(ProcessTable::Id process) const noexcept {
    return std::any_of(waiters_.begin(), waiters_.end(), [&](const auto& place) {
        const Waiter seen = place.load();
        return seen != 0 && process_of(seen) == process;
    });
}

}  // namespace mp::detail

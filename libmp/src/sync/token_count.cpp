// SPDX-License-Identifier: BSL-1.0
#include "sync/token_count.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"
#include "sync/owner_lock.hpp"

#include <algorithm>

namespace mp::detail {

bool TokenCount::acquire(Timeout timeout) {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    // order: acquire, pairs with release(). The first try asks for no time.
    if ((seen & most) > 0 &&
        word_.compare_exchange_strong(seen, seen - 1, std::memory_order_acquire)) {
        return true;
    }
    std::uint32_t mark = 0;
    const Deadline deadline(timeout);
    spin([&] {
        // order: relaxed, the exchange below decides.
        seen = word_.load(std::memory_order_relaxed);
        return (seen & most) > 0 || deadline.expired();
    });
    for (;;) {
        if ((seen & most) > 0) {
            MP_FAILPOINT("semaphore: before the taking");
            // order: acquire, pairs with release().
            if (!word_.compare_exchange_weak(
                    seen,
                    (seen - 1) | mark,
                    std::memory_order_acquire,
                    std::memory_order_relaxed
                )) {
                continue;
            }
            MP_FAILPOINT("semaphore: taken");
            // Of several wakes in a row one may have found everybody awake: who comes
            // from sleep passes on what is left.
            if (mark != 0 && (seen & most) > 1) {
                wake(1);
            }
            return true;
        }
        if (deadline.expired()) {
            return false;
        }
        if ((seen & waiters) == 0) {
            if (!word_.compare_exchange_weak(
                    seen, seen | waiters, std::memory_order_relaxed
                )) {
                continue;
            }
            seen |= waiters;
        }
        MP_FAILPOINT("semaphore: before the sleep");
        futex_wait(word_, seen, deadline.sooner(recheck_interval), FutexScope::shared);
        MP_FAILPOINT("semaphore: after the sleep");
        mark = waiters;
        seen = word_.load(std::memory_order_relaxed);
    }
}

bool TokenCount::release(std::uint32_t count, std::uint32_t bound) noexcept {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    do {
        const std::uint32_t value = seen & most;
        if (value > bound || count > bound - value) {
            return false;
        }
        MP_FAILPOINT("semaphore: before the giving");
        // order: release, pairs with acquire().
    } while (!word_.compare_exchange_weak(
        seen, seen + count, std::memory_order_release, std::memory_order_relaxed
    ));
    MP_FAILPOINT("semaphore: given");
    if ((seen & waiters) != 0) {
        wake(count);
    }
    return true;
}

void TokenCount::wake(std::uint32_t count) noexcept {
    const auto wanted = static_cast<int>(std::min<std::uint32_t>(count, everybody));
    if (futex_wake(word_, wanted, FutexScope::shared) == wanted) {
        return;
    }
    // Nobody sleeps now. With tokens there nobody goes to sleep either, so the bit may
    // go; without, somebody may just have done so.
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    if ((seen & most) > 0 && (seen & waiters) != 0) {
        word_.compare_exchange_strong(seen, seen & most, std::memory_order_relaxed);
    }
}

}  // namespace mp::detail

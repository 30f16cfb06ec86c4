// SPDX-License-Identifier: BSL-1.0
// Taking and giving tokens of one word, and sleeping while there is none.
#include "sync/token_count.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"
#include "sync/owner_lock.hpp"

#include <algorithm>

namespace mp::detail {

bool TokenCount::acquire(Timeout timeout, std::uint32_t bound) {
    // order: relaxed, the exchange decides.
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    check(seen, bound);
    // order: acquire, pairs with release(). The first try asks for no time.
    if ((seen & max_tokens) > 0 &&
        word_.compare_exchange_strong(seen, seen - 1, std::memory_order_acquire)) {
        return true;
    }
    std::uint32_t mark = 0;
    const Deadline deadline(timeout);
    spin([&] {
        // order: relaxed, the exchange below decides.
        seen = word_.load(std::memory_order_relaxed);
        return (seen & max_tokens) > 0 || deadline.expired();
    });
    for (;;) {
        check(seen, bound);
        if ((seen & max_tokens) > 0) {
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
            // Of several wakes in a row one may have found all awake: a thread that
            // comes from sleep passes on what is left.
            if (mark != 0 && (seen & max_tokens) > 1) {
                wake(1);
            }
            return true;
        }
        if (deadline.expired()) {
            return false;
        }
        if ((seen & waiters) == 0) {
            // order: relaxed, it only asks for a wake; as an exchange it continues the
            // release sequence of release().
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
        // order: relaxed, the exchange above decides.
        seen = word_.load(std::memory_order_relaxed);
    }
}

void TokenCount::check(std::uint32_t word, std::uint32_t bound) {
    if ((word & max_tokens) > bound) [[unlikely]] {
        throw DamagedError("a semaphore is damaged: a process has written over it");
    }
}

bool TokenCount::release(std::uint32_t count, std::uint32_t bound) {
    // order: relaxed, the exchange decides; a refusal is about the number alone.
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    do {
        const std::uint32_t value = seen & max_tokens;
        check(seen, bound);
        if (count > bound - value) {
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
    // No thread sleeps now. While there are tokens none goes to sleep either, so the
    // bit may go; without, one may just have done so.
    // order: relaxed, the exchange decides.
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    if ((seen & max_tokens) > 0 && (seen & waiters) != 0) {
        // order: relaxed, only the bit goes; as an exchange it continues the release
        // sequence of release().
        word_.compare_exchange_strong(
            seen, seen & max_tokens, std::memory_order_relaxed
        );
    }
}

}  // namespace mp::detail

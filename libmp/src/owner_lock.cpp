// SPDX-License-Identifier: BSL-1.0
#include "owner_lock.hpp"

#include "kill_point.hpp"

namespace mp::detail {

namespace {

// A holder on another processor is gone within this, more often than not.
constexpr int spins = 100;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Which owner was found alive, and when: asking again at every turn would cost more
// than it tells.
class LastSeenAlive {
public:
    bool is_recent(Lives::Id id) const noexcept { return id == id_ && recent_; }

    void remember(Lives::Id id) noexcept {
        id_ = id;
        recent_ = true;
    }

    void forget() noexcept { recent_ = false; }

private:
    Lives::Id id_ = 0;
    bool recent_ = false;
};

}  // namespace

Taken OwnerLock::acquire_slowly(
    const Lives& lives,
    Lives::Id me,
    std::uint32_t seen,
    Timeout timeout,
    DeadOwner dead_owner
) {
    const Deadline deadline(timeout);
    LastSeenAlive alive;
    // Who has slept cannot know whether others do.
    std::uint32_t mark = 0;
    for (int turn = 0;;) {
        if (seen == 0) {
            MP_KILL_POINT("lock: free");
            // order: acquire, pairs with release().
            if (word_.compare_exchange_strong(
                    seen,
                    me | mark,
                    std::memory_order_acquire,
                    std::memory_order_relaxed
                )) {
                MP_KILL_POINT("lock: taken");
                return Taken::yes;
            }
            continue;
        }
        const Lives::Id owner = seen & ~waiters;
        if (!alive.is_recent(owner)) {
            if (lives.dead(owner)) {
                if (dead_owner == DeadOwner::leave) {
                    return Taken::from_dead;
                }
                MP_KILL_POINT("lock: orphaned");
                // order: acquire, pairs with what the dead owner did before it died:
                // dead() has seen its end.
                if (word_.compare_exchange_strong(
                        seen,
                        me | waiters,
                        std::memory_order_acquire,
                        std::memory_order_relaxed
                    )) {
                    MP_KILL_POINT("lock: taken from the dead");
                    return Taken::from_dead;
                }
                continue;
            }
            alive.remember(owner);
        }
        if (turn < spins && timeout.duration().count() != 0) {
            ++turn;
            pause();
            seen = word_.load(std::memory_order_relaxed);
            continue;
        }
        if (deadline.expired()) {
            return Taken::no;
        }
        if ((seen & waiters) == 0) {
            MP_KILL_POINT("lock: before the mark");
            // order: relaxed, it only asks for a wake.
            if (!word_.compare_exchange_strong(
                    seen, seen | waiters, std::memory_order_relaxed
                )) {
                continue;
            }
            seen |= waiters;
        }
        MP_KILL_POINT("lock: before the sleep");
        futex_wait(word_, seen, deadline.sooner(slice), FutexScope::shared);
        MP_KILL_POINT("lock: after the sleep");
        mark = waiters;
        alive.forget();
        seen = word_.load(std::memory_order_relaxed);
    }
}

bool OwnerLock::release() noexcept {
    MP_KILL_POINT("lock: before the release");
    // order: release, pairs with acquire().
    const std::uint32_t before = word_.exchange(0, std::memory_order_release);
    MP_KILL_POINT("lock: released");
    if ((before & waiters) != 0) [[unlikely]] {
        futex_wake(word_, 1, FutexScope::shared);
        MP_KILL_POINT("lock: woken");
    }
    return before != 0;
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// The word of an OwnerLock: taken when it is free or its owner dead, else waited for,
// first spinning, then asleep.
#include "sync/owner_lock.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"

namespace mp::detail {

namespace {

// A holder that runs on another processor is gone within these pauses, more often than
// not. One that does not run gets a processor by the yields, and so does every other
// process that is held up; a sleep would cost the holder a wake-up.
constexpr SpinPolicy policy{
    .pauses = 20, .yields = 80, .always_pause = true, .quiet_pauses = 100};

}  // namespace

Taken OwnerLock::acquire_slowly(
    const ProcessTable& processes,
    ProcessTable::Id me,
    std::uint32_t seen,
    Timeout timeout,
    DeadOwner dead_owner,
    const std::atomic<std::uint64_t>* done
) {
    const Deadline deadline(timeout);
    Search search(SpinHistory::of_this_thread(), policy);
    bool spinning = timeout.duration().count() != 0;
    Progress progress = done == nullptr ? Progress() : Progress(*done);
    // Which owner was found alive since the last sleep: asking again at every turn
    // would cost more than it tells.
    ProcessTable::Id alive = 0;
    // A waiter that has slept cannot know whether others still do.
    std::uint32_t mark = 0;
    for (;;) {
        if (seen == 0) {
            MP_FAILPOINT("lock: free");
            // order: acquire, pairs with release().
            if (word_.compare_exchange_strong(
                    seen,
                    me | mark,
                    std::memory_order_acquire,
                    std::memory_order_relaxed
                )) {
                MP_FAILPOINT("lock: taken");
                return Taken::yes;
            }
            continue;
        }
        const ProcessTable::Id owner = seen & ~waiters;
        MP_FAILPOINT("lock: before the look");
        // Whoever has slept for it can afford to ask the system.
        const auto look =
            mark == 0 ? ProcessTable::Look::quick : ProcessTable::Look::thorough;
        if (owner != alive && processes.dead(owner, look)) {
            if (dead_owner == DeadOwner::leave ? is_still_of(owner, seen)
                                               : take_from_dead(me, seen)) {
                return Taken::from_dead;
            }
            continue;
        }
        alive = owner;
        if (spinning) {
            spinning =
                search.again(progress) && !(search.yielding() && deadline.expired());
            // order: relaxed, the exchange above decides.
            seen = word_.load(std::memory_order_relaxed);
            continue;
        }
        if (deadline.expired()) {
            return Taken::no;
        }
        if (mark_and_sleep(seen, deadline)) {
            mark = waiters;
            alive = 0;
        }
    }
}

// Whether `owner`, which is dead, left it locked: it may have released it, and have
// ended after we saw it as the owner. `seen` is what the word is now.
bool OwnerLock::is_still_of(ProcessTable::Id owner, std::uint32_t& seen)
    const noexcept {
    // order: acquire, pairs with release(), so that the caller tries a free lock.
    seen = word_.load(std::memory_order_acquire);
    return (seen & ~waiters) == owner;
}

bool OwnerLock::take_from_dead(ProcessTable::Id me, std::uint32_t& seen) noexcept {
    MP_FAILPOINT("lock: orphaned");
    // order: acquire, pairs with what the dead owner did before it died: dead() has
    // seen its end.
    const bool taken = word_.compare_exchange_strong(
        seen, me | waiters, std::memory_order_acquire, std::memory_order_relaxed
    );
    if (taken) {
        MP_FAILPOINT("lock: taken from the dead");
    }
    return taken;
}

// False when the word was another one already. `seen` is what it is now.
bool OwnerLock::mark_and_sleep(std::uint32_t& seen, const Deadline& deadline) noexcept {
    if ((seen & waiters) == 0) {
        MP_FAILPOINT("lock: before the mark");
        // order: relaxed, it only asks for a wake.
        if (!word_.compare_exchange_strong(
                seen, seen | waiters, std::memory_order_relaxed
            )) {
            return false;
        }
        seen |= waiters;
    }
    MP_FAILPOINT("lock: before the sleep");
    futex_wait(word_, seen, deadline.sooner(recheck_interval), FutexScope::shared);
    MP_FAILPOINT("lock: after the sleep");
    // order: relaxed, the exchange of the caller decides.
    seen = word_.load(std::memory_order_relaxed);
    return true;
}

bool OwnerLock::release() noexcept {
    MP_FAILPOINT("lock: before the release");
    // order: release, pairs with acquire().
    const std::uint32_t before = word_.exchange(0, std::memory_order_release);
    MP_FAILPOINT("lock: released");
    if ((before & waiters) != 0) [[unlikely]] {
        futex_wake(word_, 1, FutexScope::shared);
        MP_FAILPOINT("lock: woken");
    }
    return before != 0;
}

}  // namespace mp::detail

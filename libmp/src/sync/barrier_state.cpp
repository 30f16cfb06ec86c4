// SPDX-License-Identifier: BSL-1.0
// The rounds of a barrier: parties come, wait, are told and leave; what breaks one.
#include "sync/barrier_state.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"
#include "sync/this_thread.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace mp::detail {

namespace {

// The lock is held only briefly, except during the action. A process that is stopped
// with it must not hold up others beyond their time by more than this.
constexpr auto mutex_grace = std::chrono::seconds(1);

// How long to wait for the lock.
Timeout lock_timeout(const Deadline& deadline) noexcept {
    return deadline.is_forever()
               ? deadline.remaining()
               : Timeout(deadline.remaining().duration() + mutex_grace);
}

[[noreturn]] void throw_broken() {
    throw BrokenBarrierError("the barrier is broken");
}

}  // namespace

/// The barrier's lock, held; whatever its last holder left half-done is done first.
class BarrierState::Held {
public:
    Held(BarrierState& barrier, ProcessTable& processes, Timeout timeout = forever)
        : barrier_(barrier) {
        const Taken taken = barrier_.shared_.lock.acquire(processes, timeout);
        held_ = taken != Taken::no;
        if (taken == Taken::from_dead) {
            barrier_.repair();
        }
    }

    ~Held() {
        if (held_) {
            barrier_.shared_.lock.release();
        }
    }

    explicit operator bool() const noexcept { return held_; }

    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

private:
    BarrierState& barrier_;
    bool held_ = false;
};

/// The caller as a waiter that may watch for others, until this goes.
class BarrierState::Watching {
public:
    Watching(BarrierState& barrier, ProcessTable& processes)
        : barrier_(barrier),
          me_(static_cast<Watchers::Waiter>(processes.self()) << 32U |
              static_cast<std::uint32_t>(::gettid())) {}

    ~Watching() {
        if (barrier_.shared_.watchers.leave(me_)) {
            // The process that told us may have been killed before it woke all.
            futex_wake(barrier_.shared_.bell, everybody, FutexScope::shared);
        }
    }

    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;

    bool for_others(const ProcessTable& processes) const noexcept {
        return barrier_.shared_.watchers.watches(me_, processes);
    }

private:
    BarrierState& barrier_;
    const Watchers::Waiter me_;
};

std::uint32_t BarrierState::waiting() const noexcept {
    const std::uint64_t now = round();
    return static_cast<std::uint32_t>(std::count_if(
        begin(),
        end(),
        [&](const Party& p) { return p.state.load() == waits && p.round.load() == now; }
    ));
}

/// Of whatever round.
bool BarrierState::anybody_waits() const noexcept {
    return std::any_of(begin(), end(), [](const Party& p) {
        return p.state.load() == waits;
    });
}

bool BarrierState::has_dead_party(const ProcessTable& processes, Look look)
    const noexcept {
    return std::any_of(begin(), end(), [&](const Party& p) {
        return p.state.load() == waits && processes.dead(p.process.load(), look);
    });
}

BarrierState::Party* BarrierState::free_place(const ProcessTable& processes
) const noexcept {
    auto* const place = std::find_if(begin(), end(), [&](const Party& p) {
        const std::uint32_t state = p.state.load();
        // No party leaves another state than these.
        return state == free || state > breaks ||
               (state != waits && processes.dead(p.process.load()));
    });
    return place == end() ? nullptr : place;
}

// ----------------------------------------------------------------------------------
// the end of a round, under the lock

// The store decides; what follows may be done by the next holder of the lock.
void BarrierState::end_round(bool broken) noexcept {
    MP_FAILPOINT("barrier: before the end");
    shared_.round.store((round() + 1) << 1U | (broken ? 1U : 0U));
    MP_FAILPOINT("barrier: round ended");
    tell_parties(Told::all);
}

// Who ends a round tells all that wait; who does it for a dead one, those that have
// come before. A party of another round than the one that has just ended is none: its
// place, or the number of the round, was overwritten.
void BarrierState::tell_parties(Told whom) noexcept {
    const std::uint64_t word = shared_.round.load();
    for (Party& party : *this) {
        std::uint32_t state = waits;
        const std::uint64_t of = party.round.load();
        if (party.state.load() == waits && (whom == Told::all || of != word >> 1U)) {
            const bool passes = (word & 1U) == 0 && of + 1 == word >> 1U;
            party.state.compare_exchange_strong(state, passes ? passed : breaks);
            MP_FAILPOINT("barrier: party told");
        }
    }
    shared_.bell.fetch_add(1);
    futex_wake(shared_.bell, everybody, FutexScope::shared);
    MP_FAILPOINT("barrier: woken");
}

void BarrierState::break_it() noexcept {
    shared_.broken.store(1);
    MP_FAILPOINT("barrier: marked broken");
    if (anybody_waits()) {
        end_round(true);
    }
}

void BarrierState::repair() noexcept {
    const std::uint64_t now = round();
    const bool half_told = std::any_of(begin(), end(), [&](const Party& p) {
        return p.state.load() == waits && p.round.load() != now;
    });
    if (half_told) {
        tell_parties(Told::earlier);
    } else if (waiting() > 0) {
        // It died inside wait(): as the last one in the action, or on its way in.
        break_it();
    }
}

// ----------------------------------------------------------------------------------
// wait

std::uint32_t BarrierState::wait(
    ProcessTable& processes,
    const Deadline& deadline,
    const std::function<void()>& action
) {
    for (;;) {
        const std::uint32_t heard = shared_.bell.load();
        const Arrival arrival = arrive(processes, deadline, action);
        if (arrival.place != nullptr) {
            wait_for_end(arrival, processes, deadline);
        }
        if (arrival.place != nullptr || arrival.was_last) {
            return arrival.number;
        }
        // All places are still with those of earlier rounds, which are slow to leave.
        if (deadline.expired()) {
            give_up();
        }
        futex_wait(
            shared_.bell, heard, deadline.sooner(recheck_interval), FutexScope::shared
        );
    }
}

// Without the lock: a party that waits sees it at the end of its own time.
void BarrierState::give_up() {
    shared_.broken.store(1);
    throw_broken();
}

// Neither a place nor the last one: all places are taken.
BarrierState::Arrival BarrierState::arrive(
    ProcessTable& processes,
    const Deadline& deadline,
    const std::function<void()>& action
) {
    MP_FAILPOINT("barrier: before the arrival");
    const Held held(*this, processes, lock_timeout(deadline));
    MP_FAILPOINT("barrier: arriving");
    if (!held) {
        give_up();
    }
    if (!broken() && has_dead_party(processes, Look::quick)) {
        break_it();
    }
    if (broken()) {
        throw_broken();
    }
    const std::uint32_t number = waiting();
    if (number + 1 < parties_) {
        Party* const place = free_place(processes);
        if (place == nullptr) {
            return {};
        }
        place->process.store(processes.self());
        const std::uint64_t now = round();
        place->round.store(now);
        const std::uint64_t who =
            static_cast<std::uint64_t>(processes.self()) << 32U | thread_number();
        place->who.store(who);
        MP_FAILPOINT("barrier: before the place");
        place->state.store(waits);
        MP_FAILPOINT("barrier: place taken");
        return {.place = place, .round = now, .who = who, .number = number};
    }
    if (action) {
        try {
            action();
        } catch (...) {
            break_it();
            throw;
        }
        MP_FAILPOINT("barrier: after the action");
    }
    end_round(false);
    return {.number = number, .was_last = true};
}

void BarrierState::wait_for_end(
    const Arrival& mine, ProcessTable& processes, const Deadline& deadline
) {
    Party& place = *mine.place;
    spin([&] { return place.state.load() != waits || deadline.expired(); });
    const Watching watching(*this, processes);
    auto interval = recheck_interval;
    for (;;) {
        const std::uint32_t heard = shared_.bell.load();
        const std::uint32_t state = place.state.load();
        if (state != waits) {
            MP_FAILPOINT("barrier: before the leaving");
            place.state.store(free);
            if (state == passed) {
                return;
            }
            if (state != breaks) {
                give_up();  // Nobody tells a party that: it was overwritten.
            }
            throw_broken();
        }
        MP_FAILPOINT("barrier: before the sleep");
        if (!deadline.expired()) {
            const bool watches = watching.for_others(processes);
            futex_wait(
                shared_.bell,
                heard,
                deadline.sooner(watches ? recheck_interval : interval),
                FutexScope::shared
            );
            // Not at once: the watcher may have left between the look and the sleep.
            interval = std::min(2 * interval, Watchers::longest_interval);
        }
        MP_FAILPOINT("barrier: after the sleep");
        look_after(mine, processes, deadline);
    }
}

// No other party may be awake to see that a party or the holder of the lock has died,
// or that the time is over.
void BarrierState::look_after(
    const Arrival& mine, ProcessTable& processes, const Deadline& deadline
) {
    Party& place = *mine.place;
    const auto has_moved = [&] {
        return broken() || round() != mine.round || place.round.load() != mine.round ||
               place.who.load() != mine.who;
    };
    if (!deadline.expired() && !shared_.lock.is_orphaned(processes) &&
        !has_dead_party(processes, Look::thorough) && !has_moved()) {
        return;
    }
    const Held held(*this, processes, lock_timeout(deadline));
    std::uint32_t state = waits;
    if (!held && place.state.compare_exchange_strong(state, free)) {
        give_up();
    }
    // Whoever ends a round tells its parties, too, before the next one gets the lock:
    // one that nobody told was overwritten, or the number of the round.
    if (held && place.state.load() == waits &&
        (deadline.expired() || has_dead_party(processes, Look::thorough) || has_moved()
        )) {
        break_it();
    }
}

// ----------------------------------------------------------------------------------
// by hand

void BarrierState::reset(ProcessTable& processes) {
    const Held held(*this, processes);
    if (anybody_waits()) {
        end_round(true);
    }
    shared_.broken.store(0);
}

void BarrierState::abort(ProcessTable& processes) {
    const Held held(*this, processes);
    break_it();
}

}  // namespace mp::detail

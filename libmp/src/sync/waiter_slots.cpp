// SPDX-License-Identifier: BSL-1.0
// Slots taken and left, notices given, and those of dead waiters passed on.
#include "sync/waiter_slots.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"
#include "sync/owner_lock.hpp"

#include <algorithm>

namespace mp::detail {

namespace {

// process:32 | ticket:30 | state:2
constexpr std::uint32_t ticket_mask = (1U << 30U) - 1;

constexpr std::uint32_t ticket_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word) >> 2U;
}

// Tickets wrap around; those that wait at one time are near each other.
constexpr bool is_older(std::uint64_t a, std::uint64_t b) noexcept {
    return ((ticket_of(a) - ticket_of(b)) & (1U << 29U)) != 0;
}

}  // namespace

const FutexWord& WaiterSlots::sleepers_word(const Word& word) noexcept {
    const auto* const halves = reinterpret_cast<const FutexWord*>(&word);
    return halves[std::endian::native == std::endian::little ? 0 : 1];
}

std::uint32_t WaiterSlots::used() const noexcept {
    return std::min(used_.load(), capacity);
}

/// A waiter sees to it that it is found, whatever was written over the number.
void WaiterSlots::keep_used(std::uint32_t index) noexcept {
    std::uint32_t seen = used_.load();
    while (seen <= index && !used_.compare_exchange_weak(seen, index + 1)) {
    }
}

std::optional<WaiterSlots::Place> WaiterSlots::enter(ProcessTable& processes) {
    const ProcessTable::Id me = processes.self();
    const std::uint32_t ticket = last_ticket_.fetch_add(1) & ticket_mask;
    const std::uint64_t waiting = static_cast<std::uint64_t>(me) << 32U |
                                  static_cast<std::uint64_t>(ticket) << 2U | waits;
    // A notice in the hands of a dead process is taken over in one step. It makes this
    // waiter look at its condition again, which costs nothing.
    const std::uint32_t end = used();
    for (std::uint32_t i = 0; i < end; ++i) {
        std::uint64_t seen = slots_.at(i).load();
        if (state_of(seen) == notified && processes.dead(process_of(seen)) &&
            slots_.at(i).compare_exchange_strong(seen, notified_of(waiting))) {
            return Place{.index = i, .waiting = waiting};
        }
    }
    for (std::uint32_t i = 0; i < capacity; ++i) {
        std::uint64_t seen = slots_.at(i).load();
        const bool left = state_of(seen) == waits && processes.dead(process_of(seen));
        if (state_of(seen) != free && !left) {
            continue;
        }
        if (i >= used()) {
            used_.store(i + 1);
        }
        MP_FAILPOINT("condition: before the place");
        if (slots_.at(i).compare_exchange_strong(seen, waiting)) {
            MP_FAILPOINT("condition: place taken");
            return Place{.index = i, .waiting = waiting};
        }
    }
    return std::nullopt;
}

bool WaiterSlots::sleep(
    const Place& place,
    const ProcessTable& processes,
    const OwnerLock& lock,
    const Deadline& deadline
) {
    const bool was_notified = sleep_in_place(place, processes, lock, deadline);
    if (watchers_.leave(place.waiting)) {
        find_watcher(processes);
    }
    return was_notified;
}

bool WaiterSlots::sleep_in_place(
    const Place& place,
    const ProcessTable& processes,
    const OwnerLock& lock,
    const Deadline& deadline
) {
    Word& mine = slots_.at(place.index);
    auto interval = recheck_interval;
    spin([&] { return mine.load() != place.waiting || deadline.expired(); });
    for (;;) {
        std::uint64_t seen = mine.load();
        if (seen != place.waiting) {
            MP_FAILPOINT("condition: notice seen");
            return true;
        }
        if (deadline.expired()) {
            if (mine.compare_exchange_strong(seen, free)) {
                return false;
            }
            continue;
        }
        const bool watching = watchers_.watches(place.waiting, processes);
        futex_wait(
            sleepers_word(mine),
            static_cast<std::uint32_t>(place.waiting),
            deadline.sooner(watching ? recheck_interval : interval),
            FutexScope::shared
        );
        MP_FAILPOINT("condition: after the sleep");
        keep_used(place.index);
        // Not at once: the watcher may have left between the look and the sleep.
        interval = std::min(2 * interval, Watchers::longest_interval);
        if (watching) {
            find_watcher(processes);
        }
        if (lock.is_orphaned(processes)) {
            // It may have changed what we wait for and have died before notify().
            seen = place.waiting;
            mine.compare_exchange_strong(seen, notified_of(place.waiting));
        } else {
            take_over_orphan(processes, mine, place.waiting);
        }
    }
}

// If there is a place for a watcher, wakes a waiter of a process that has none: it
// finds nothing new, and takes the place before it sleeps again.
void WaiterSlots::find_watcher(const ProcessTable& processes) noexcept {
    const std::uint32_t end = watchers_.has_room(processes) ? used() : 0;
    for (std::uint32_t i = 0; i < end; ++i) {
        const std::uint64_t seen = slots_.at(i).load();
        if (state_of(seen) == waits && !watchers_.has_one_of(process_of(seen)) &&
            !processes.dead(process_of(seen))) {
            futex_wake(sleepers_word(slots_.at(i)), 1, FutexScope::shared);
            return;
        }
    }
}

// Notices of waiters that died before they had the lock. First mine, then theirs: a
// death in between makes two of one, which is harmless.
bool WaiterSlots::take_over_orphan(
    const ProcessTable& processes, Word& mine, std::uint64_t waiting
) noexcept {
    const std::uint32_t end = used();
    for (std::uint32_t i = 0; i < end; ++i) {
        std::uint64_t theirs = slots_.at(i).load();
        if (state_of(theirs) != notified ||
            !processes.dead(process_of(theirs), ProcessTable::Look::thorough)) {
            continue;
        }
        if (!mine.compare_exchange_strong(waiting, notified_of(waiting))) {
            return false;
        }
        MP_FAILPOINT("condition: notice taken over");
        slots_.at(i).compare_exchange_strong(theirs, free);
        MP_FAILPOINT("condition: orphan freed");
        return true;
    }
    return false;
}

void WaiterSlots::leave(const Place& place) noexcept {
    slots_.at(place.index).store(free);
}

WaiterSlots::Word* WaiterSlots::oldest(std::uint64_t& word) noexcept {
    Word* best = nullptr;
    const std::uint32_t end = used();
    for (std::uint32_t i = 0; i < end; ++i) {
        const std::uint64_t seen = slots_.at(i).load();
        if (state_of(seen) == waits && (best == nullptr || is_older(seen, word))) {
            best = &slots_.at(i);
            word = seen;
        }
    }
    return best;
}

bool WaiterSlots::wake(
    Word& slot, std::uint64_t waiting, const ProcessTable& processes
) noexcept {
    if (processes.dead(process_of(waiting))) {
        slot.compare_exchange_strong(waiting, free);
        return false;
    }
    MP_FAILPOINT("condition: before the notice");
    if (!slot.compare_exchange_strong(waiting, notified_of(waiting))) {
        return false;  // It gave up just now.
    }
    MP_FAILPOINT("condition: notice given");
    futex_wake(sleepers_word(slot), 1, FutexScope::shared);
    MP_FAILPOINT("condition: waiter woken");
    return true;
}

void WaiterSlots::notify(const ProcessTable& processes, int count) noexcept {
    if (count >= waiting()) {
        const std::uint32_t end = used();
        for (std::uint32_t i = 0; i < end; ++i) {
            const std::uint64_t seen = slots_.at(i).load();
            if (state_of(seen) == waits) {
                wake(slots_.at(i), seen, processes);
            }
        }
        return;
    }
    while (count > 0) {
        std::uint64_t word = 0;
        Word* const slot = oldest(word);
        if (slot == nullptr) {
            return;
        }
        count -= wake(*slot, word, processes) ? 1 : 0;
    }
}

int WaiterSlots::waiting() const noexcept {
    int count = 0;
    const std::uint32_t end = used();
    for (std::uint32_t i = 0; i < end; ++i) {
        count += state_of(slots_.at(i).load()) == waits ? 1 : 0;
    }
    return count;
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// WaiterSlots: the waiters of a condition, in shared memory. See
// docs/protocols/condition.md.
//
// They are neither Sleepers (queue/sleepers.hpp) nor the WorkerSet of the process
// pool's board, though all three look alike. notify(n) owes a wake to each of the n
// living waiters that came first, and no notice may be lost with a waiter that dies, so
// a waiter has a slot of its own that records its process and its ticket; a bit of
// Sleepers is nobody's and a bit of the WorkerSet one worker's, for wakes in any order.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include "memory/process_table.hpp"
#include "sync/watchers.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace mp::detail {

class OwnerLock;

/// Zeroed memory is one without waiters.
class WaiterSlots {
public:
    /// How many may wait at once.
    static constexpr std::uint32_t capacity = 1024;

    /// A waiter's place: what stands there while it waits.
    struct Place {
        std::uint32_t index;
        std::uint64_t waiting;
    };

    /// Takes a place; nothing when all are taken. Requires: the lock is held.
    std::optional<Place> enter(ProcessTable& processes);

    /// Blocks until notified, or until a process died that may have had something to
    /// say. False at the deadline: the place is free then.
    bool sleep(
        const Place& place,
        const ProcessTable& processes,
        const OwnerLock& lock,
        const Deadline& deadline
    );

    /// Frees the place of a waiter that has the lock again.
    void leave(const Place& place) noexcept;

    /// Wakes the living waiters that have waited longest. Requires: the lock is held.
    void notify(const ProcessTable& processes, int count) noexcept;

    /// How many wait and have not been notified.
    int waiting() const noexcept;

private:
    using Word = std::atomic<std::uint64_t>;

    enum State : std::uint64_t { free = 0, waits = 1, notified = 2, mask = 3 };

    static State state_of(std::uint64_t word) noexcept {
        return static_cast<State>(word & mask);
    }

    static ProcessTable::Id process_of(std::uint64_t word) noexcept {
        return static_cast<ProcessTable::Id>(word >> 32U);
    }

    static std::uint64_t notified_of(std::uint64_t waiting) noexcept {
        return waiting ^ (waits | notified);
    }

    /// The half of the word that changes with its state.
    static const FutexWord& sleepers_word(const Word& word) noexcept;

    bool sleep_in_place(
        const Place& place,
        const ProcessTable& processes,
        const OwnerLock& lock,
        const Deadline& deadline
    );
    void find_watcher(const ProcessTable& processes) noexcept;
    std::uint32_t used() const noexcept;
    void keep_used(std::uint32_t index) noexcept;
    Word* oldest(std::uint64_t& word) noexcept;
    static bool
    wake(Word& slot, std::uint64_t waiting, const ProcessTable& processes) noexcept;
    bool take_over_orphan(
        const ProcessTable& processes, Word& mine, std::uint64_t waiting
    ) noexcept;

    std::atomic<std::uint32_t> last_ticket_;
    std::atomic<std::uint32_t> used_;  ///< no place from here on was ever taken
    std::array<Word, capacity> slots_;
    Watchers watchers_;  ///< known by what stands in their slots
};

}  // namespace mp::detail

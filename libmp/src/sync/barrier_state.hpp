// SPDX-License-Identifier: BSL-1.0
// BarrierState: the parties that wait at a barrier, in shared memory. See
// docs/protocols/barrier.md.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include "memory/process_table.hpp"
#include "sync/owner_lock.hpp"
#include "sync/watchers.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace mp::detail {

class BarrierState {
public:
    /// A waiter's place. Changed under the lock, but for the waiter's own leaving.
    struct Party {
        std::atomic<ProcessTable::Id> process;
        std::atomic<std::uint32_t> state;
        std::atomic<std::uint64_t> round;
    };

    /// Those of two rounds, so that none need wait for those that are slow to leave.
    static std::size_t bytes(std::uint32_t parties) noexcept {
        return sizeof(BarrierState) + std::size_t{2} * parties * sizeof(Party);
    }

    explicit BarrierState(std::uint32_t parties) noexcept : parties_(parties) {}

    /// Returns the number of the caller in its round. The last one runs `action` before
    /// any is let go. Throws BrokenBarrierError; what the action throws.
    std::uint32_t wait(
        ProcessTable& processes,
        const Deadline& deadline,
        const std::function<void()>& action
    );

    void reset(ProcessTable& processes);
    void abort(ProcessTable& processes);

    std::uint32_t parties() const noexcept { return parties_; }

    std::uint32_t waiting() const noexcept;

    bool broken() const noexcept { return broken_.load() != 0; }

private:
    enum PartyState : std::uint32_t { free = 0, waits, passed, breaks };

    class Held;
    class Watching;

    Party* begin() noexcept { return reinterpret_cast<Party*>(this + 1); }
    Party* end() noexcept { return begin() + std::size_t{2} * parties_; }
    const Party* begin() const noexcept {
        return reinterpret_cast<const Party*>(this + 1);
    }
    const Party* end() const noexcept { return begin() + std::size_t{2} * parties_; }

    std::uint64_t round() const noexcept { return round_.load() >> 1U; }

    struct Arrival {
        Party* place = nullptr;
        std::uint32_t number = 0;
        bool was_last = false;
    };

    Arrival arrive(
        ProcessTable& processes,
        const Deadline& deadline,
        const std::function<void()>& action
    );
    [[noreturn]] void give_up();
    Party* free_place(const ProcessTable& processes) noexcept;
    void repair() noexcept;
    bool has_dead_party(const ProcessTable& processes) const noexcept;
    void end_round(bool broken) noexcept;
    void tell_parties() noexcept;
    void break_it() noexcept;
    void wait_for_end(Party& place, ProcessTable& processes, const Deadline& deadline);
    void look_after(Party& place, ProcessTable& processes, const Deadline& deadline);

    // Set once in the constructor.
    std::uint32_t parties_;
    // Own synchronisation.
    OwnerLock lock_;
    FutexWord bell_;  ///< counts the ends of rounds
    std::atomic<std::uint32_t> broken_;
    /// number of the round:63 | the one before was broken:1. One store ends a round.
    std::atomic<std::uint64_t> round_;
    Watchers watchers_;
};

static_assert(sizeof(BarrierState) % alignof(BarrierState::Party) == 0);

}  // namespace mp::detail

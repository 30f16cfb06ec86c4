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

/// What the parties of a barrier share. How many they are is not here, but in each
/// process's handle.
struct BarrierMemory {
    /// A waiter's place. Changed under the lock, but for the waiter's own leaving.
    struct Party {
        std::atomic<ProcessTable::Id> process;
        std::atomic<std::uint32_t> state;
        std::atomic<std::uint64_t> round;
        std::atomic<std::uint64_t> who;  ///< the process, and which of its threads
    };

    /// Those of two rounds, so that none need wait for those that are slow to leave.
    static std::size_t bytes(std::uint32_t parties) noexcept {
        return sizeof(BarrierMemory) + std::size_t{2} * parties * sizeof(Party);
    }

    OwnerLock lock;
    FutexWord bell;  ///< counts the ends of rounds
    std::atomic<std::uint32_t> broken;
    /// number of the round:63 | the one before was broken:1. One store ends a round.
    std::atomic<std::uint64_t> round;
    Watchers watchers;
};

static_assert(sizeof(BarrierMemory) % alignof(BarrierMemory::Party) == 0);

/// One process's view of it. The memory has room for so many parties.
class BarrierState {
public:
    BarrierState(BarrierMemory& memory, std::uint32_t parties) noexcept
        : shared_(memory), parties_(parties) {}

    /// Returns the number of the caller in its round. The last one runs `action` before
    /// any is let go. Throws BrokenBarrierError, also when a process has written over
    /// the memory; what the action throws.
    std::uint32_t wait(
        ProcessTable& processes,
        const Deadline& deadline,
        const std::function<void()>& action
    );

    void reset(ProcessTable& processes);
    void abort(ProcessTable& processes);

    std::uint32_t waiting() const noexcept;

    bool broken() const noexcept { return shared_.broken.load() != 0; }

private:
    using Party = BarrierMemory::Party;
    using Look = ProcessTable::Look;

    enum class Told : bool { earlier, all };

    enum PartyState : std::uint32_t { free = 0, waits, passed, breaks };

    class Held;
    class Watching;

    Party* begin() const noexcept { return reinterpret_cast<Party*>(&shared_ + 1); }
    Party* end() const noexcept { return begin() + std::size_t{2} * parties_; }

    std::uint64_t round() const noexcept { return shared_.round.load() >> 1U; }

    struct Arrival {
        Party* place = nullptr;
        std::uint64_t round = 0;
        std::uint64_t who = 0;
        std::uint32_t number = 0;
        bool was_last = false;
    };

    Arrival arrive(
        ProcessTable& processes,
        const Deadline& deadline,
        const std::function<void()>& action
    );
    [[noreturn]] void give_up();
    Party* free_place(const ProcessTable& processes) const noexcept;
    void repair() noexcept;
    bool anybody_waits() const noexcept;
    bool has_dead_party(const ProcessTable& processes, Look look) const noexcept;
    void end_round(bool broken) noexcept;
    void tell_parties(Told whom) noexcept;
    void break_it() noexcept;
    void wait_for_end(
        const Arrival& mine, ProcessTable& processes, const Deadline& deadline
    );
    void
    look_after(const Arrival& mine, ProcessTable& processes, const Deadline& deadline);

    BarrierMemory& shared_;
    std::uint32_t parties_;
};

}  // namespace mp::detail

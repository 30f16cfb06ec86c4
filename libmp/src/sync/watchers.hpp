// SPDX-License-Identifier: BSL-1.0
// Watchers: which of the threads that wait for one object look for deaths at each
// recheck interval. One of a process is enough, and that for a few processes: so idle
// waiting costs the same however many wait. The others sleep longer, for when all that
// watch are killed or stopped at once.
#pragma once

#include "memory/process_table.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace mp::detail {

/// In shared memory; zeroed, nobody watches.
class Watchers {
public:
    /// How long a waiter sleeps at most that does not watch.
    static constexpr auto longest_interval = std::chrono::milliseconds(1000);

    /// A thread that waits: its process in the upper half, and in the lower half what
    /// tells it from the others there.
    using Waiter = std::uint64_t;

    static ProcessTable::Id process_of(Waiter waiter) noexcept {
        return static_cast<ProcessTable::Id>(waiter >> 32U);
    }

    /// Before each sleep: whether it is this waiter that watches for its process.
    bool watches(Waiter waiter, const ProcessTable& processes) noexcept;

    /// After the last one. Returns whether it watched; then another is to be woken.
    bool leave(Waiter waiter) noexcept;

    /// Whether one more could watch.
    bool has_room(const ProcessTable& processes) const noexcept;

    bool has_one_of(ProcessTable::Id process) const noexcept;

private:
    std::array<std::atomic<Waiter>, 8> waiters_;  ///< 0: nobody
};

}  // namespace mp::detail

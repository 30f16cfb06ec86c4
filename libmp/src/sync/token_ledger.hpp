// SPDX-License-Identifier: BSL-1.0
// TokenLedger: a semaphore that knows how many tokens each process holds, so that those
// of a dead process come back. See docs/protocols/semaphore.md.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include "memory/process_table.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace mp::detail {

/// Made by set() in zeroed memory. All members are for any process.
class TokenLedger {
public:
    static constexpr std::uint32_t max_tokens = (1U << 20U) - 1;

    void set(std::uint32_t value) noexcept;

    // These throw DamagedError when what stands here cannot be.

    /// Takes one; false when the deadline passed without. There were `total` at first.
    bool acquire(ProcessTable& processes, Timeout timeout, std::uint32_t total);

    /// Gives some back. False, and nothing is given, when there would be more than
    /// `bound`.
    bool release(ProcessTable& processes, std::uint32_t count, std::uint32_t bound);

    std::uint32_t value() const noexcept;

    /// How many tokens the process with this index has taken and not given back.
    std::int32_t balance(std::uint32_t index) const noexcept;

    /// Gives back what dead processes hold; how much that was.
    std::uint32_t reclaim(const ProcessTable& processes);

private:
    using Word = std::atomic<std::uint64_t>;

    bool change(std::uint32_t index, std::int32_t by, std::uint32_t bound);
    bool give_back(std::uint32_t index, std::uint64_t entry);
    bool book(std::uint64_t last) noexcept;
    std::uint64_t settled_value();
    bool misses_tokens(std::uint32_t total);
    std::uint32_t enrol(ProcessTable& processes);
    void ring(std::uint32_t count) noexcept;

    /// How many are free, and the last change: by which process, which of its changes,
    /// how much.
    alignas(64) Word value_;
    FutexWord bell_;
    FutexWord sleeping_;
    /// For each process: the number of its last booked change, and what it holds.
    alignas(64) std::array<Word, ProcessTable::capacity> entries_;
    std::array<std::atomic<std::uint32_t>, ProcessTable::capacity> generations_;
};

}  // namespace mp::detail

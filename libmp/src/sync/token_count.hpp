// SPDX-License-Identifier: BSL-1.0
// TokenCount: a semaphore in one word. A process that takes a token need not give it
// back, so nothing comes back from the dead. See docs/protocols/semaphore.md.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include <cstdint>

namespace mp::detail {

/// Zeroed memory is an empty one. All members are for any process.
class TokenCount {
public:
    /// Also the bits of the word that count them.
    static constexpr std::uint32_t max_tokens = 0x7fff'ffffU;

    void set(std::uint32_t value) noexcept { word_.store(value); }

    // Both throw DamagedError when there are more than `bound` already.

    /// Takes one; false when the deadline passed without.
    bool acquire(Timeout timeout, std::uint32_t bound);

    /// Adds some. False, and nothing is added, when there would be more than `bound`.
    bool release(std::uint32_t count, std::uint32_t bound);

    std::uint32_t value() const noexcept { return word_.load() & max_tokens; }

private:
    /// A thread may sleep.
    static constexpr std::uint32_t waiters = 1U << 31U;

    static void check(std::uint32_t word, std::uint32_t bound);
    void wake(std::uint32_t count) noexcept;

    FutexWord word_;
};

}  // namespace mp::detail

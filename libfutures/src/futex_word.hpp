// SPDX-License-Identifier: BSL-1.0
// Sleeping on a word of this process, and waking who sleeps there. Both may return
// early: the caller looks again.
#pragma once

#include "mp/timeout.hpp"

#include <climits>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace futures::detail {

/// Sleeps while `*word == seen`, until woken, interrupted or too late.
inline void futex_sleep(
    const std::uint32_t* word, std::uint32_t seen, const mp::Deadline& deadline
) noexcept {
    std::timespec until{};
    if (!deadline.is_forever()) {
        until = deadline.timespec();
    }
    syscall(
        SYS_futex,
        word,
        FUTEX_WAIT_BITSET_PRIVATE,
        seen,
        deadline.is_forever() ? nullptr : &until,
        nullptr,
        FUTEX_BITSET_MATCH_ANY
    );
}

inline void futex_wake(const std::uint32_t* word, int count) noexcept {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

inline void futex_wake_all(const std::uint32_t* word) noexcept {
    futex_wake(word, INT_MAX);
}

}  // namespace futures::detail

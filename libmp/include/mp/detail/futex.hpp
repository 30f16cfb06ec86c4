// SPDX-License-Identifier: BSL-1.0
// futex: sleep until a 32-bit word is said to have changed, in this process or in
// shared memory.
// Python:  none, because Python's locks sleep inside the interpreter's own primitives.
// Differs: nothing to differ from.
// Threads: any.
// Processes: with FutexScope::shared, all that map the word.
#pragma once

#include "mp/timeout.hpp"

#include <atomic>
#include <cstdint>

namespace mp::detail {

using FutexWord = std::atomic<std::uint32_t>;

static_assert(FutexWord::is_always_lock_free);
static_assert(sizeof(FutexWord) == sizeof(std::uint32_t));

/// Who may sleep on the word. A private word is cheaper, and never found by another
/// process, even in shared memory.
enum class FutexScope : std::uint8_t { process, shared };

/// Sleeps while `word` reads `expected`, until a wake, a signal or the deadline.
/// Returns false only at the deadline. May return for no reason: the caller looks
/// again.
bool futex_wait(
    const FutexWord& word,
    std::uint32_t expected,
    const Deadline& deadline,
    FutexScope scope
) noexcept;

/// Wakes at most `count` sleepers; returns how many.
int futex_wake(const FutexWord& word, int count, FutexScope scope) noexcept;

/// For futex_wake: all of them.
inline constexpr int everybody = 0x7fffffff;

}  // namespace mp::detail

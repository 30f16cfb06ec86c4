// SPDX-License-Identifier: BSL-1.0
// queue_seal: how a word in the memory of a queue says that it is what it seems. A
// process that writes where it should not changes words one by one, or all of them to
// the same or to any value; none of that leaves a seal that fits. A seal is no secret
// from a process that has the queue, and no defence against one that wants to forge it.
#pragma once

#include <bit>
#include <cstdint>

namespace mp::detail {

namespace seal {

/// Odd, so that multiplying with it can be undone.
inline constexpr std::uint64_t factor = 0x9e37'79b9'7f4a'7c15ULL;

/// Newton's iteration: each step doubles the bits that are right.
constexpr std::uint64_t inverse_of(std::uint64_t odd) noexcept {
    std::uint64_t inverse = odd;
    for (int step = 0; step < 5; ++step) {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

inline constexpr std::uint64_t inverse = inverse_of(factor);
static_assert(factor * inverse == 1);

/// A word for a value whose upper bits the reader knows: any change of the word changes
/// those. 0 stays 0.
constexpr std::uint64_t closed(std::uint64_t value) noexcept {
    return value * factor;
}

constexpr std::uint64_t opened(std::uint64_t word) noexcept {
    return word * inverse;
}

/// What belongs to a number that the reader knows: the number of an item, a count.
constexpr std::uint64_t of(std::uint64_t key, std::uint64_t number) noexcept {
    return (key + number) * factor;
}

}  // namespace seal

}  // namespace mp::detail

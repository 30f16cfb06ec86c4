// SPDX-License-Identifier: BSL-1.0
// item_sum: what an item in shared memory says of itself, so that one that was written
// over is not believed; and how such memory is read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace futures::detail {

/// What stands there now, read once: the compiler does not look a second time, when it
/// may be something else than what was checked.
template <class T>
T copied(const T& shared) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    T copy;
    std::memcpy(&copy, &shared, sizeof copy);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return copy;
}

/// A checksum of a few numbers and of some bytes. It tells accidents; whoever wants to
/// write a right one can.
class ItemSum {
public:
    ItemSum(std::uint64_t a, std::uint64_t b, std::uint64_t c) noexcept
        : one_(mixed(mixed(a ^ 0x9e3779b97f4a7c15U) ^ c)),
          two_(mixed(b ^ 0xc2b2ae3d27d4eb4fU)) {}

    std::uint32_t of(std::span<const std::byte> bytes) noexcept {
        const std::byte* at = bytes.data();
        std::size_t left = bytes.size();
        for (; left > 16; left -= 16, at += 16) {
            add(word<std::uint64_t>(at), word<std::uint64_t>(at + 8));
        }
        // The rest by words that may overlap, which is quicker than one by one.
        if (left >= 8) {
            add(word<std::uint64_t>(at), word<std::uint64_t>(at + left - 8));
        } else if (left >= 4) {
            add(word<std::uint32_t>(at), word<std::uint32_t>(at + left - 4));
        } else if (left > 0) {
            add(word<std::uint8_t>(at),
                word<std::uint8_t>(at + left / 2) << 8U |
                    word<std::uint8_t>(at + left - 1));
        }
        const std::uint64_t both = mixed(one_ ^ two_ << 32U ^ two_ >> 32U);
        return static_cast<std::uint32_t>(both >> 16U);
    }

private:
    static constexpr std::uint64_t mixed(std::uint64_t word) noexcept {
        word *= 0xff51afd7ed558ccdU;
        return word ^ word >> 32U;
    }

    template <class Word>
    static std::uint64_t word(const std::byte* at) noexcept {
        Word word{};
        std::memcpy(&word, at, sizeof word);
        return word;
    }

    void add(std::uint64_t a, std::uint64_t b) noexcept {
        one_ = mixed(one_ ^ a);
        two_ = mixed(two_ ^ b);
    }

    std::uint64_t one_;
    std::uint64_t two_;
};

}  // namespace futures::detail

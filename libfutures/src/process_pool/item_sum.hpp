// SPDX-License-Identifier: BSL-1.0
// item_sum: what an item in shared memory says of itself, so that one that was written
// over is not believed; and how such memory is read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

/// A checksum of numbers and bytes. It tells accidents; whoever wants to write a right
/// one can. All products are independent of each other: a task in a pool takes a third
/// of a microsecond, and sums are taken four times meanwhile.
class ItemSum {
public:
    explicit ItemSum(std::uint64_t number) noexcept { add(number); }

    void add(std::uint64_t word) noexcept {
        sum_ += word * factor_;
        factor_ += step;
    }

    /// Copies so many bytes and adds them, each read once.
    void add_copying(std::byte* to, const std::byte* from, std::size_t size) noexcept {
        std::size_t at = 0;
        for (; at + 8 <= size; at += 8) {
            add(moved<std::uint64_t>(to + at, from + at));
        }
        // The rest by words that overlap, which is quicker than one by one.
        if (at == size) {
            return;
        }
        if (size >= 8) {
            add(moved<std::uint64_t>(to + size - 8, from + size - 8));
        } else if (size >= 4) {
            add(moved<std::uint32_t>(to, from));
            add(moved<std::uint32_t>(to + size - 4, from + size - 4));
        } else {
            for (; at < size; ++at) {
                add(moved<std::uint8_t>(to + at, from + at));
            }
        }
    }

    std::uint32_t value() const noexcept {
        return static_cast<std::uint32_t>(sum_ ^ sum_ >> 32U);
    }

private:
    static constexpr std::uint64_t step = 0x9fb21c651e98df26U;  // even: factors are odd

    template <class Word>
    static Word moved(std::byte* to, const std::byte* from) noexcept {
        Word word{};
        std::memcpy(&word, from, sizeof word);
        asm("" : "+r"(word));  // from here on it is not what stands there, but this
        std::memcpy(to, &word, sizeof word);
        return word;
    }

    std::uint64_t sum_ = 0xc2b2ae3d27d4eb4fU;
    std::uint64_t factor_ = 0x9e3779b97f4a7c15U;
};

}  // namespace futures::detail

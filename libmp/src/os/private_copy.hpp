// SPDX-License-Identifier: BSL-1.0
// private_copy: what stands in shared memory, copied once. What is checked afterwards
// is the copy, and nothing but the copy is used: the memory may have changed meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace mp::os {

/// A struct of whole 64-bit words. Each word is read once, by no way that a compiler
/// may repeat.
template <class T>
T private_copy(const T& shared) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
    static_assert(alignof(T) >= alignof(std::uint64_t));
    constexpr std::size_t count = sizeof(T) / sizeof(std::uint64_t);
    const auto* const from = reinterpret_cast<const volatile std::uint64_t*>(&shared);
    std::uint64_t words[count];
    for (std::size_t i = 0; i < count; ++i) {
        words[i] = from[i];
    }
    T copy;
    std::memcpy(&copy, words, sizeof copy);
    return copy;
}

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
// pattern(size): so many bytes without a period, so that a part that is lost, doubled
// or in the wrong place is noticed.
#pragma once

#include "support/text_of.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace test {

/// Other bytes for each size and seed.
inline std::vector<std::byte> pattern(std::size_t size, std::uint32_t seed = 0) {
    std::vector<std::byte> bytes(size);
    std::uint32_t x = static_cast<std::uint32_t>(size) + 1 + seed * 69069U;
    for (std::byte& b : bytes) {
        x = x * 1664525U + 1013904223U;
        b = static_cast<std::byte>(x >> 24U);
    }
    return bytes;
}

inline std::string text_pattern(std::size_t size, std::uint32_t seed = 0) {
    return text_of(pattern(size, seed));
}

}  // namespace test

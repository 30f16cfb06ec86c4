// SPDX-License-Identifier: BSL-1.0
// ForgedValue: any bytes, sent where a value of some type is read; and bytes that are
// nearly those of a value.
#pragma once

#include "mp/reduction.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

namespace test {

/// Written as its bytes alone, without their number, and read as a T.
template <class T>
struct ForgedValue {
    std::string bytes;
    T value = {};

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            archive.save_binary(bytes.data(), bytes.size());
        } else {
            archive& value;
        }
    }
};

/// What is written of the value, with a few words of it changed, cut off or longer; the
/// same for the same seed.
template <class T>
std::string nearly(const T& value, unsigned seed) {
    std::mt19937 random(seed);
    const auto whole = mp::dumps(value);
    std::string bytes(reinterpret_cast<const char*>(whole.data()), whole.size());
    const auto below = [&](std::size_t bound) {
        return static_cast<std::size_t>(random()) % std::max<std::size_t>(bound, 1);
    };
    for (std::size_t i = 1 + below(3); i > 0; --i) {
        switch (random() % 5) {
        case 0:
            bytes.resize(below(bytes.size()));
            break;
        case 1:
            bytes.append(below(20), static_cast<char>(random()));
            break;
        case 2:
            if (!bytes.empty()) {
                bytes[below(bytes.size())] ^= static_cast<char>(1U << random() % 8);
            }
            break;
        default:
            // Lengths, most of all.
            if (bytes.size() >= sizeof(std::uint64_t)) {
                const std::uint64_t word = random() % 2 == 0
                                               ? std::uint64_t{1} << random() % 64
                                               : ~std::uint64_t{0} >> random() % 64;
                const std::size_t at = below(bytes.size() - sizeof word + 1);
                std::memcpy(bytes.data() + at / 8 * 8, &word, sizeof word);
            }
        }
    }
    return bytes;
}

}  // namespace test

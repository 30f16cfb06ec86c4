// SPDX-License-Identifier: BSL-1.0
#include "util/hex.hpp"

namespace mp::detail {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

}  // namespace

std::string to_hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) {
        text += digits[std::to_integer<std::size_t>(byte) >> 4U];
        text += digits[std::to_integer<std::size_t>(byte) & 15U];
    }
    return text;
}

std::string to_hex(std::string_view bytes) {
    return to_hex(std::as_bytes(std::span(bytes)));
}

std::string hex_number(std::uint64_t number) {
    std::string text;
    do {
        text.insert(text.begin(), digits[number & 15U]);
        number >>= 4U;
    } while (number != 0);
    return "0x" + text;
}

}  // namespace mp::detail

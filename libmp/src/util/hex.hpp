// SPDX-License-Identifier: BSL-1.0
// hex: bytes and numbers in hexadecimal, for names and messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace mp::detail {

/// Two digits a byte.
std::string to_hex(std::span<const std::byte> bytes);
std::string to_hex(std::string_view bytes);

/// "0x1f", without leading zeros.
std::string hex_number(std::uint64_t number);

}  // namespace mp::detail

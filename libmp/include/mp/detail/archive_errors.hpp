// SPDX-License-Identifier: BSL-1.0
// The errors of the archives, thrown out of line.
// Python:  none, because pickle raises PicklingError and its like where it meets them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mp::detail {

/// All throw SerializationError.
[[noreturn]] void throw_encode_error(const char* what);
[[noreturn]] void throw_decode_error(const char* what);
[[noreturn]] void throw_bad_length(std::uint64_t length, std::size_t left);
[[noreturn]] void throw_no_memory(std::size_t elements);
[[noreturn]] void
throw_newer_version(std::string_view type, unsigned written, unsigned known);

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// random_bytes: bytes that nobody can guess.
#pragma once

#include <cstddef>
#include <span>

namespace mp::os {

/// Throws std::system_error when the kernel has no randomness.
void random_bytes(std::span<std::byte> into);

/// Overwrites with zeros, also when the compiler thinks that nobody will look.
void wipe(std::span<std::byte> secret) noexcept;

/// Equal? Takes the same time wherever the first difference is.
bool equal_in_constant_time(
    std::span<const std::byte> a, std::span<const std::byte> b
) noexcept;

}  // namespace mp::os

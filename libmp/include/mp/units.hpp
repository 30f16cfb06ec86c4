// SPDX-License-Identifier: BSL-1.0
// KiB, MiB, GiB: sizes in bytes, for options.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any; they are constants.
#pragma once

#include <cstdint>

namespace mp {

/// 1024 bytes.
inline constexpr std::uint64_t KiB = 1024;
/// 1024 KiB.
inline constexpr std::uint64_t MiB = 1024 * KiB;
/// 1024 MiB.
inline constexpr std::uint64_t GiB = 1024 * MiB;

}  // namespace mp

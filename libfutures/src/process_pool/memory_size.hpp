// SPDX-License-Identifier: BSL-1.0
// memory_size: how much memory this process has.
#pragma once

#include <cstdint>

namespace futures::detail {

struct MemorySize {
    std::uint64_t resident = 0;  ///< bytes in memory, shared ones too
    std::uint64_t data = 0;      ///< of its own, as RLIMIT_DATA counts
};

/// Zeros where /proc is not mounted. Allocates nothing.
MemorySize memory_size() noexcept;

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// coarse_now: the monotonic clock for a few nanoseconds, right to one tick of the
// system. Async-signal-safe.
#pragma once

#include <cstdint>
#include <time.h>

namespace mp::os {

/// Nanoseconds of CLOCK_MONOTONIC.
inline std::uint64_t coarse_now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace mp::os

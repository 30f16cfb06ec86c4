// SPDX-License-Identifier: BSL-1.0
// BoardOptions, BoardStatistics: how a board is made, and what it counts.
#pragma once

#include "os/spin.hpp"

#include <cstdint>

namespace futures::detail {

struct BoardOptions {
    std::uint32_t workers = 1;   ///< that there are places for
    std::uint32_t sharers = 0;   ///< of the memory that is kept; 0: as `workers`
    std::uint64_t slots = 1024;  ///< a power of two
    mp::detail::SpinPolicy policy{};
    std::uint64_t trim_threshold = 0;  ///< free bytes that an idle pool keeps
};

struct BoardStatistics {
    std::uint64_t submitted = 0;
    std::uint64_t concluded = 0;
    std::uint64_t backlog = 0;  ///< not on the board yet
    std::uint64_t given_back = 0;
    std::uint64_t lost = 0;
    std::uint64_t stray_results = 0;
    std::uint64_t worker_wakes = 0;
    std::uint64_t guard_ticks = 0;
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// CallTrailer: what a worker is told of a task beside its call: its limit, its name and
// its priority.
// It stands behind the call, and only where there is something to tell.
#pragma once

#include "mp/timeout.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace futures::detail {

/// The last bytes of a message; the name stands before it.
struct CallTrailer {
    std::int64_t limit;  ///< nanoseconds; the largest number: none
    std::uint64_t name_size;
    std::int64_t priority;
};

/// A message taken apart.
struct TrailedCall {
    std::span<const std::byte> call;
    std::string_view name;
    mp::Timeout limit;
    int priority;
};

/// Nothing if no trailer can stand there.
std::optional<TrailedCall> without_trailer(std::span<const std::byte> message) noexcept;

}  // namespace futures::detail

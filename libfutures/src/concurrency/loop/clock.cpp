// SPDX-License-Identifier: BSL-1.0
#include "concurrency/clock.hpp"

#include "concurrency/errors.hpp"

#include <cmath>

namespace concurrency::detail {

namespace {

// What the clock can show, with room for sums.
constexpr double longest = 4e9;

}  // namespace

TimePoint to_time_point(double seconds) noexcept {
    if (seconds >= longest) {
        return TimePoint::max();
    }
    if (seconds <= 0) {
        return TimePoint{};
    }
    return TimePoint(
        std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(seconds))
    );
}

double to_seconds(TimePoint time) noexcept {
    if (time == TimePoint::max()) {
        return inf;
    }
    return std::chrono::duration<double>(time.time_since_epoch()).count();
}

double number(double seconds) {
    if (std::isnan(seconds)) {
        throw ValueError("a time must be a number, not NaN");
    }
    return seconds;
}

}  // namespace concurrency::detail

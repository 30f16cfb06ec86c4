// SPDX-License-Identifier: BSL-1.0
// The loop's clock, and the times that calls take: how long, and until when.
// Python:  anyio.current_time, math.inf; the float arguments of anyio.sleep,
//          move_on_after, fail_at and so on.
// Differs: a time is a number of seconds or of std::chrono; what is not a number is
//          ValueError.
// Threads: any; they are values. current_time() asks the loop of its thread.
#pragma once

#include <chrono>
#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>

namespace concurrency {

/// No limit, as a number of seconds.
inline constexpr double inf = std::numeric_limits<double>::infinity();

/// The loop's clock in seconds: monotonic, counted from an arbitrary moment. Throws
/// RuntimeError outside a loop.
double current_time();

namespace detail {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// TimePoint::max() for what never comes; rounded up, so that nothing is early.
TimePoint to_time_point(double seconds) noexcept;
double to_seconds(TimePoint time) noexcept;

/// Throws ValueError when it is not a number.
double number(double seconds);

}  // namespace detail

/// How long: a number of seconds, a std::chrono duration, or std::nullopt (Python's
/// None) for no limit. Negative means 0. Throws ValueError for what is not a number.
class Delay {
public:
    /// No limit.
    // A time is written as what it is.
    // NOLINTNEXTLINE(google-explicit-constructor)
    constexpr Delay(std::nullopt_t) noexcept {}

    /// Seconds.
    template <class Number>
        requires std::is_arithmetic_v<Number>
        // NOLINTNEXTLINE(google-explicit-constructor): as above
        Delay(Number seconds)
            : seconds_(detail::number(static_cast<double>(seconds))) {}

        /// Seconds, or no limit.
        // NOLINTNEXTLINE(google-explicit-constructor): as above
        Delay(std::optional<double> seconds)
            : seconds_(detail::number(seconds.value_or(inf))) {}

        /// 50ms, 2s, any duration.
        template <class Rep, class Period>
        // NOLINTNEXTLINE(google-explicit-constructor): as above
        Delay(std::chrono::duration<Rep, Period> duration)
            : Delay(std::chrono::duration<double>(duration).count()) {}

        /// The number of seconds, infinite for no limit.
        constexpr double seconds() const noexcept {
            return seconds_;
        }

    private:
        double seconds_ = inf;
};

/// Until when, on the clock of current_time(): a number of seconds, a time point of
/// std::chrono::steady_clock, or std::nullopt (Python's None) for never. Throws
/// ValueError for what is not a number.
class Instant {
public:
    /// Never.
    // NOLINTNEXTLINE(google-explicit-constructor): as for Delay
    constexpr Instant(std::nullopt_t) noexcept {}

    /// Seconds on the loop's clock.
    template <class Number>
        requires std::is_arithmetic_v<Number>
        // NOLINTNEXTLINE(google-explicit-constructor): as for Delay
        Instant(Number seconds)
            : seconds_(detail::number(static_cast<double>(seconds))) {}

        /// Seconds on the loop's clock, or never.
        // NOLINTNEXTLINE(google-explicit-constructor): as for Delay
        Instant(std::optional<double> seconds)
            : seconds_(detail::number(seconds.value_or(inf))) {}

        /// A point on std::chrono's monotonic clock.
        // NOLINTNEXTLINE(google-explicit-constructor): as for Delay
        Instant(std::chrono::steady_clock::time_point time) noexcept
            : seconds_(detail::to_seconds(time)) {}

        /// The number of seconds, infinite for never.
        constexpr double seconds() const noexcept {
            return seconds_;
        }

    private:
        double seconds_ = inf;
};

}  // namespace concurrency

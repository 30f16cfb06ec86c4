// SPDX-License-Identifier: BSL-1.0
// Timeout and Deadline: how long a call may block, and until when.
// Python:  the `timeout=None` argument of every blocking call.
// Differs: a std::chrono duration or mp::forever; negative means 0, as in Python.
// Threads: any; both are values.
#pragma once

#include "mp/detail/platform.hpp"

#include <climits>

#include <chrono>
#include <ctime>
#include <stdexcept>

namespace mp {

/// The type of `forever`.
struct Forever {};

/// Python's None: block until it happens.
inline constexpr Forever forever{};

/// How long a call may block: a duration, or `forever`. Durations too long for the
/// clock (std::chrono::hours::max()) mean for ever, negative ones mean 0 (do not
/// block). One that is not a number is std::invalid_argument, as Python's ValueError.
class Timeout {
public:
    /// No limit.
    // A timeout is written as what it is.
    // NOLINTNEXTLINE(google-explicit-constructor)
    constexpr Timeout(Forever) noexcept {}

    /// `500ms`, `2s`, any duration. Throws std::invalid_argument for NaN.
    template <class Rep, class Period>
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    constexpr Timeout(std::chrono::duration<Rep, Period> d
    ) noexcept(!std::chrono::treat_as_floating_point_v<Rep>)
        : nanoseconds_(saturated(d)) {}

    /// Whether there is no limit.
    constexpr bool is_forever() const noexcept { return nanoseconds_ == endless; }

    /// The duration; nanoseconds::max() for `forever`.
    constexpr std::chrono::nanoseconds duration() const noexcept {
        return nanoseconds_;
    }

private:
    static constexpr std::chrono::nanoseconds endless = std::chrono::nanoseconds::max();

    template <class Rep, class Period>
    static constexpr std::chrono::nanoseconds
    saturated(std::chrono::duration<Rep, Period> d
    ) noexcept(!std::chrono::treat_as_floating_point_v<Rep>) {
        if constexpr (std::chrono::treat_as_floating_point_v<Rep>) {
            if (d != d) {
                throw std::invalid_argument("a timeout must be a number, not NaN");
            }
        }
        using seconds = std::chrono::duration<long double>;
        constexpr seconds longest = std::chrono::hours(24 * 365 * 100);
        const seconds s(d);
        if (!(s < longest)) {
            return endless;
        }
        if (!(s > seconds::zero())) {
            return std::chrono::nanoseconds::zero();
        }
        return std::chrono::duration_cast<std::chrono::nanoseconds>(d);
    }

    std::chrono::nanoseconds nanoseconds_ = endless;
};

/// A point on the monotonic clock at which a Timeout ends. A call takes one Timeout,
/// makes one Deadline of it, and gives that to every wait inside. Setting the clock
/// does not matter; while the machine is suspended, no time passes.
class Deadline {
public:
    /// Monotonic.
    using Clock = std::chrono::steady_clock;

    /// So long from now.
    explicit Deadline(Timeout timeout) noexcept
        : when_(
              timeout.is_forever() ? Clock::time_point::max()
                                   : Clock::now() + timeout.duration()
          ) {}

    /// Whether it never comes.
    bool is_forever() const noexcept { return when_ == Clock::time_point::max(); }

    /// Whether it has come.
    bool expired() const noexcept { return !is_forever() && Clock::now() >= when_; }

    /// When it comes; the end of time for `forever`.
    Clock::time_point time_point() const noexcept { return when_; }

    /// What is left, never negative.
    Timeout remaining() const noexcept {
        if (is_forever()) {
            return forever;
        }
        return when_ - Clock::now();
    }

    /// The earlier of the two.
    Deadline sooner(Timeout slice) const noexcept {
        const Deadline other(slice);
        return other.when_ < when_ ? other : *this;
    }

    /// For poll(2): -1 for ever, else milliseconds rounded up, so that it never ends
    /// early.
    int poll_milliseconds() const noexcept {
        if (is_forever()) {
            return -1;
        }
        const auto ms =
            std::chrono::ceil<std::chrono::milliseconds>(remaining().duration())
                .count();
        return ms > INT_MAX ? INT_MAX : static_cast<int>(ms);
    }

    /// Absolute CLOCK_MONOTONIC time, for futex and timerfd. Requires: not for ever.
    std::timespec timespec() const noexcept {
        const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                            when_.time_since_epoch()
        )
                            .count();
        return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    }

private:
    Clock::time_point when_;
};

}  // namespace mp

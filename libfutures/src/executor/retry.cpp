// SPDX-License-Identifier: BSL-1.0
#include "futures/retry.hpp"

#include "mp/detail/creator.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>

namespace futures {

namespace {

using Seconds = std::chrono::duration<double>;

/// A year: nobody waits longer, and no sum of it and a point in time overflows.
constexpr double most_seconds = 365.0 * 24 * 60 * 60;

std::chrono::nanoseconds checked_delay(Seconds time) {
    if (!(time.count() >= 0)) {
        throw std::invalid_argument("retry_delay: a time is below zero, or NaN");
    }
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        Seconds(std::min(time.count(), most_seconds))
    );
}

/// From 0 to 1. Not for secrets. A forked child begins anew: all children of a process
/// would else have the same numbers, and retry in step.
double random_part() {
    thread_local std::minstd_rand generator;
    thread_local std::uint64_t process_of_generator = 0;
    const std::uint64_t process = mp::detail::process_token();
    if (process_of_generator != process) {
        generator.seed(std::random_device{}());
        process_of_generator = process;
    }
    return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace

RetryDelay::RetryDelay(Seconds first, double factor, Seconds longest, bool jitter)
    : first_(checked_delay(first)),
      longest_(checked_delay(longest)),
      factor_(factor),
      jitter_(jitter) {
    if (!(factor >= 1)) {
        throw std::invalid_argument("backoff(): the factor is below 1, or NaN");
    }
}

std::chrono::nanoseconds RetryDelay::before(std::uint32_t retry) const noexcept {
    const double longest = Seconds(longest_).count();
    const double grown =
        Seconds(first_).count() *
        std::pow(factor_, static_cast<double>(retry == 0 ? 0 : retry - 1));
    // Infinity times zero is NaN, which is not below anything.
    double seconds = grown < longest ? grown : longest;
    if (first_.count() == 0) {
        seconds = 0;
    }
    if (jitter_) {
        try {
            seconds -= seconds / 2 * random_part();
        } catch (const std::exception&) {
            static_cast<void>(0);  // no randomness to be had: without jitter
        }
    }
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Seconds(seconds));
}

RetryDelay backoff(Seconds first, double factor, Seconds longest) {
    return {first, factor, longest, true};
}

}  // namespace futures

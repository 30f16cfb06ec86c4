// SPDX-License-Identifier: BSL-1.0
// Timeout and Deadline.
#include "mp/timeout.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <limits>
#include <stdexcept>

using namespace std::chrono_literals;

TEST_CASE(
    "Timeout: negative durations mean 0, endless ones mean for ever", "[timeout]"
) {
    CHECK(mp::Timeout(-1s).duration() == 0ns);
    CHECK(mp::Timeout(1500ms).duration() == 1'500'000'000ns);
    CHECK(mp::Timeout(std::chrono::hours::max()).is_forever());
    CHECK(mp::Timeout(mp::forever).is_forever());
    CHECK_FALSE(mp::Timeout(24h).is_forever());
    CHECK(mp::Timeout(std::chrono::duration<double>::max()).is_forever());
}

TEST_CASE("Timeout: what is not a number is no timeout", "[timeout]") {
    using Seconds = std::chrono::duration<double>;
    using Limits = std::numeric_limits<double>;
    CHECK_THROWS_AS(mp::Timeout(Seconds(Limits::quiet_NaN())), std::invalid_argument);
    CHECK(mp::Timeout(Seconds(Limits::infinity())).is_forever());
    CHECK(mp::Timeout(Seconds(-Limits::infinity())).duration() == 0ns);
}

TEST_CASE("Deadline: expires after its timeout and never before", "[timeout]") {
    CHECK(mp::Deadline(0s).expired());
    CHECK(mp::Deadline(0s).poll_milliseconds() == 0);
    CHECK(mp::Deadline(mp::forever).poll_milliseconds() == -1);
    CHECK_FALSE(mp::Deadline(mp::forever).expired());
    const mp::Deadline later(1h);
    CHECK_FALSE(later.expired());
    CHECK(later.poll_milliseconds() > 3'590'000);
    CHECK(later.sooner(1ms).poll_milliseconds() <= 1);
    CHECK(mp::Deadline(1ms).sooner(1h).poll_milliseconds() <= 1);
}

// SPDX-License-Identifier: BSL-1.0
// The loop's clock, and the forms in which a time is given.
#include "concurrency/checkpoint.hpp"
#include "concurrency/clock.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <limits>
#include <optional>

using concurrency::Delay;
using concurrency::Instant;
using concurrency::Task;
using namespace std::chrono_literals;

TEST_CASE("Delay: seconds as a number or of std::chrono, and None", "[clock]") {
    CHECK(Delay(2).seconds() == 2);
    CHECK(Delay(0.5).seconds() == 0.5);
    CHECK(Delay(250ms).seconds() == 0.25);
    CHECK(Delay(std::nullopt).seconds() == concurrency::inf);
    CHECK(Delay(std::optional<double>()).seconds() == concurrency::inf);
    CHECK(Delay(std::optional(1.5)).seconds() == 1.5);
    CHECK(Delay(-1).seconds() == -1);
}

TEST_CASE("Instant: seconds as a number or a time point, and None", "[clock]") {
    CHECK(Instant(2).seconds() == 2);
    CHECK(Instant(std::nullopt).seconds() == concurrency::inf);
    const std::chrono::steady_clock::time_point time(1500ms);
    CHECK(Instant(time).seconds() == 1.5);
    CHECK(
        Instant(std::chrono::steady_clock::time_point::max()).seconds() ==
        concurrency::inf
    );
}

TEST_CASE(
    "trio.run::cancel_scope_validation trio.timeouts::timeouts_raise_value_error: "
    "what is not a number is refused",
    "[clock]"
) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(Delay(nan), concurrency::ValueError);
    CHECK_THROWS_AS(Delay(std::chrono::duration<double>(nan)), concurrency::ValueError);
    CHECK_THROWS_AS(Instant(nan), concurrency::ValueError);
    CHECK_THROWS_AS(Instant(std::optional(nan)), concurrency::ValueError);
}

TEST_CASE("current_time: a time point is not earlier than its seconds", "[clock]") {
    using concurrency::detail::to_seconds;
    using concurrency::detail::to_time_point;
    for (const double seconds : {0.1, 1.0 / 3, 12345.678901, 86400.0 * 365}) {
        CHECK(to_seconds(to_time_point(seconds)) >= seconds);
    }
    CHECK(
        to_time_point(concurrency::inf) == std::chrono::steady_clock::time_point::max()
    );
    CHECK(to_time_point(-concurrency::inf) == std::chrono::steady_clock::time_point());
}

TEST_CASE(
    "utils::TestCurrentTime.test_returns_float "
    "utils::TestCurrentTime.test_monotonic_increases "
    "wrapper_functions::test_current_time_returns_float "
    "wrapper_functions::test_current_time_monotonic "
    "wrapper_functions::test_current_time_precision "
    "trio.run::current_time: it grows across a sleep",
    "[clock]"
) {
    test::over_backends([]() -> Task<> {
        const double before = concurrency::current_time();
        CHECK(before > 0);
        co_await concurrency::sleep(0.001);
        CHECK(concurrency::current_time() >= before + 0.001);
    });
}

TEST_CASE("trio.run::out_of_context: there is no time outside a loop", "[clock]") {
    CHECK_THROWS_AS(concurrency::current_time(), concurrency::RuntimeError);
}

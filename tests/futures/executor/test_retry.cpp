// SPDX-License-Identifier: BSL-1.0
// retry_on and backoff, by themselves.
#include "futures/retry.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <ios>
#include <limits>
#include <set>
#include <stdexcept>
#include <system_error>

using namespace std::chrono_literals;
using futures::backoff;
using futures::retry_on;
using futures::RetryDelay;

TEST_CASE("retry_on: what a catch of one of the types would catch", "[executor]") {
    const auto on = retry_on<std::runtime_error, std::invalid_argument>();
    CHECK(on);
    CHECK(on(std::make_exception_ptr(std::runtime_error("x"))));
    CHECK(on(std::make_exception_ptr(std::system_error(std::error_code()))));
    CHECK(on(std::make_exception_ptr(std::invalid_argument("x"))));
    CHECK_FALSE(on(std::make_exception_ptr(std::logic_error("x"))));
    CHECK_FALSE(on(std::make_exception_ptr(1)));
    CHECK(retry_on<int>()(std::make_exception_ptr(1)));
    CHECK_FALSE(futures::RetryOn());
}

TEST_CASE("retry_delay: a duration is always the same", "[executor]") {
    const RetryDelay none;
    CHECK(none.is_zero());
    const RetryDelay delay = 20ms;
    CHECK_FALSE(delay.is_zero());
    CHECK(delay.before(1) == 20ms);
    CHECK(delay.before(100) == 20ms);
}

TEST_CASE(
    "backoff: grows by its factor, up to the longest, with jitter", "[executor]"
) {
    const RetryDelay delay = backoff(100ms, 2.0, 1s);
    const auto is_from_half = [&](std::uint32_t retry, std::chrono::nanoseconds most) {
        const auto time = delay.before(retry);
        return time >= most / 2 && most >= time;
    };
    for (int i = 0; i < 100; ++i) {
        CHECK(is_from_half(1, 100ms));
        CHECK(is_from_half(3, 400ms));
        CHECK(is_from_half(4'000'000'000U, 1s));
    }
    bool differs = false;
    for (int i = 0; i < 100; ++i) {
        differs = differs || delay.before(1) != delay.before(1);
    }
    CHECK(differs);
    CHECK(backoff(0s, 10.0, 1s).before(4'000'000'000U) == 0s);
}

TEST_CASE("backoff: forked children do not wait in step", "[executor]") {
    const RetryDelay delay = backoff(100ms, 2.0, 1s);
    CHECK(delay.before(1).count() > 0);  // this process has its numbers
    std::set<int> parts;
    for (int child = 0; child < 16; ++child) {
        parts.insert(test::run_in_fork([&] {
            return static_cast<int>(delay.before(1).count() % 97);
        }));
    }
    CHECK(parts.size() > 1);
}

TEST_CASE("backoff: what makes no sense is an invalid argument", "[executor]") {
    CHECK_THROWS_AS(RetryDelay(-1ms), std::invalid_argument);
    CHECK_THROWS_AS(backoff(-1ms), std::invalid_argument);
    CHECK_THROWS_AS(backoff(1ms, 0.5), std::invalid_argument);
    CHECK_THROWS_AS(backoff(1ms, std::nan("")), std::invalid_argument);
    CHECK_THROWS_AS(backoff(1ms, 2, -1s), std::invalid_argument);
}

// SPDX-License-Identifier: BSL-1.0
// Checkpoints and sleeping, without a scope that cancels; with one: scope/test_cancel.
#include "concurrency/checkpoint.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <limits>
#include <stdexcept>

using concurrency::current_time;
using concurrency::sleep;
using concurrency::Task;
using namespace std::chrono_literals;

TEST_CASE(
    "utils::TestSleep.test_basic_sleep wrapper_functions::test_sleep_basic "
    "wrapper_functions::test_sleep_zero trio.timeouts::sleep.a: "
    "never ends early",
    "[checkpoint]"
) {
    test::over_backends([]() -> Task<> {
        const double begin = current_time();
        co_await sleep(0.005);
        CHECK(current_time() - begin >= 0.005);
        co_await sleep(5ms);
        CHECK(current_time() - begin >= 0.01);
        co_await sleep(0);
        co_await sleep(-1);
        co_await sleep(-concurrency::inf);
    });
}

TEST_CASE(
    "eventloop::sleep_until eventloop::sleep_until_in_past: sleep_until ends then, or "
    "at once",
    "[checkpoint]"
) {
    test::over_backends([]() -> Task<> {
        const double until = current_time() + 0.005;
        co_await concurrency::sleep_until(until);
        CHECK(current_time() >= until);
        co_await concurrency::sleep_until(until - 1);
        co_await concurrency::sleep_until(std::chrono::steady_clock::now() + 1ms);
    });
}

TEST_CASE(
    "sleep: what is not a number is refused before anybody sleeps", "[checkpoint]"
) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_AS(sleep(nan), concurrency::ValueError);
    CHECK_THROWS_AS(concurrency::sleep_until(nan), concurrency::ValueError);
}

TEST_CASE("checkpoint: passes where nothing is cancelled", "[checkpoint]") {
    test::over_backends([]() -> Task<> {
        for (int i = 0; i < 1000; ++i) {
            co_await concurrency::checkpoint();
            co_await concurrency::cancel_shielded_checkpoint();
        }
        concurrency::check_cancelled();
        CHECK_FALSE(concurrency::cancel_pending());
    });
}

TEST_CASE("checkpoint: is refused outside a loop", "[checkpoint]") {
    CHECK_THROWS_AS(concurrency::check_cancelled(), concurrency::RuntimeError);
    CHECK_THROWS_AS(concurrency::cancel_pending(), concurrency::RuntimeError);
}

// SPDX-License-Identifier: BSL-1.0
// retry: calls again what fails, after pauses that grow.
#include "concurrency/cancel.hpp"
#include "concurrency/retry.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::retry;
using concurrency::RetryOptions;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::ValueError;
using namespace std::chrono_literals;

namespace {

// Pauses that are over at the next turn.
RetryOptions at_once() {
    return RetryOptions().max_delay(0);
}

// Fails so many times, and then gives how often it was called.
class Failing {
public:
    explicit Failing(int times) : times_(times) {}

    Task<int> operator()() {
        ++calls;
        co_await checkpoint();
        if (calls <= times_) {
            throw std::runtime_error("error " + std::to_string(calls));
        }
        co_return calls;
    }

    int calls = 0;

private:
    int times_;
};

}  // namespace

TEST_CASE(
    "patterns::test_retry_eventual_success: the value of the first call that succeeds",
    "[retry]"
) {
    test::over_backends([]() -> Task<> {
        Failing failing(2);
        CHECK_AWAITED(retry(std::ref(failing), at_once()), == 3);
        Failing never(0);
        CHECK_AWAITED(retry(std::ref(never)), == 1);
        CHECK(never.calls == 1);
    });
}

TEST_CASE(
    "patterns::test_retry_respects_attempts_count: after so many calls the last error "
    "comes out",
    "[retry]"
) {
    test::over_backends([]() -> Task<> {
        Failing failing(100);
        auto trying = [&] {
            return retry(std::ref(failing), at_once());
        };
        CHECK_AWAITED(test::thrown_by(trying), == "error 3");
        CHECK(failing.calls == 3);
        auto once = [&] {
            return retry(std::ref(failing), at_once().attempts(1));
        };
        CHECK_AWAITED(test::thrown_by(once), == "error 4");
        CHECK(failing.calls == 4);
    });
}

TEST_CASE(
    "patterns::test_retry_exception_filtering: an error that is not listed comes out "
    "at "
    "once",
    "[retry]"
) {
    test::over_backends([]() -> Task<> {
        Failing failing(100);
        auto trying = [&] {
            return retry(
                std::ref(failing),
                at_once().retry_on<std::logic_error, std::bad_alloc>()
            );
        };
        CHECK_AWAITED(test::thrown_by(trying), == "error 1");
        CHECK(failing.calls == 1);
        // Derived types are listed as well.
        int calls = 0;
        auto throws = [&]() -> Task<> {
            ++calls;
            throw std::system_error(1, std::generic_category());
            co_return;
        };
        auto derived = [&] {
            return retry(throws, at_once().retry_on<std::runtime_error>());
        };
        co_await test::thrown_by(derived);
        CHECK(calls == 3);
        // By default, what is no std::exception is not.
        auto throws_number = [&]() -> Task<> {
            ++calls;
            throw 5;
            co_return;
        };
        auto strange = [&] {
            return retry(throws_number, at_once());
        };
        CHECK_AWAITED(test::thrown_by(strange), == "something");
        CHECK(calls == 4);
        auto listed = [&] {
            return retry(throws_number, at_once().retry_on<int>());
        };
        CHECK_AWAITED(test::thrown_by(listed), == "something");
        CHECK(calls == 7);
    });
}

TEST_CASE(
    "patterns::test_retry_mixed_exceptions: two that are listed, then one that is not",
    "[retry]"
) {
    test::over_backends([]() -> Task<> {
        int calls = 0;
        auto throws = [&]() -> Task<> {
            switch (++calls) {
            case 1:
                throw std::runtime_error("a");
            case 2:
                throw std::out_of_range("b");
            default:
                throw std::bad_alloc();
            }
            co_return;
        };
        auto trying = [&] {
            return retry(
                throws,
                at_once().attempts(10).retry_on<std::runtime_error, std::logic_error>()
            );
        };
        CHECK_AWAITED(test::thrown_by(trying), == std::bad_alloc().what());
        CHECK(calls == 3);
    });
}

TEST_CASE("retry: a function may choose the errors", "[retry]") {
    test::over_backends([]() -> Task<> {
        Failing failing(100);
        std::string asked;
        const auto options =
            at_once().attempts(10).retry_on([&](const std::exception_ptr& error) {
                asked += test::in_words(error) + ' ';
                return failing.calls < 2;
            });
        auto trying = [&] {
            return retry(std::ref(failing), options);
        };
        CHECK_AWAITED(test::thrown_by(trying), == "error 2");
        CHECK(asked == "error 1 error 2 ");
    });
}

TEST_CASE(
    "patterns::test_retry_with_and_without_jitter: pauses double up to the longest, "
    "and "
    "are a little longer at random",
    "[retry]"
) {
    const auto error = std::make_exception_ptr(std::runtime_error("x"));
    const auto pauses = [&](const RetryOptions& options) -> Task<> {
        CHECK(options.pause(1, error) == 0.25);
        CHECK(options.pause(2, error) == 0.5);
        CHECK(options.pause(3, error) == 1);
        CHECK(options.pause(4, error) == 1);
        CHECK(options.pause(1999, error) == 1);
        co_return;
    };
    const auto plain =
        RetryOptions().attempts(2000).base_delay(250ms).max_delay(1).jitter(0);
    concurrency::run([&] { return pauses(plain); });
    concurrency::run([&]() -> Task<> {
        const auto options =
            RetryOptions().attempts(2000).base_delay(0.25).max_delay(1).jitter(0.5);
        bool differ = false;
        for (int i = 0; i < 100; ++i) {
            const double pause = options.pause(1, error);
            CHECK(pause >= 0.25);
            CHECK(pause <= 0.375);
            // After the longest, so that it may be longer.
            CHECK(options.pause(10, error) >= 1);
            CHECK(options.pause(10, error) <= 1.5);
            differ = differ || pause != options.pause(1, error);
        }
        CHECK(differ);
        co_return;
    });
    test::over_backends([]() -> Task<> {
        Failing failing(2);
        Failing other(2);
        const auto options = RetryOptions().base_delay(0.001);
        CHECK_AWAITED(retry(std::ref(failing), options), == 3);
        const auto exact = RetryOptions().base_delay(0.001).jitter(0);
        CHECK_AWAITED(retry(std::ref(other), exact), == 3);
    });
}

TEST_CASE("retry: options that make no sense are refused", "[retry]") {
    test::over_backends([]() -> Task<> {
        Failing failing(0);
        const double nan = std::numeric_limits<double>::quiet_NaN();
        for (const RetryOptions& options :
             {RetryOptions().attempts(0),
              RetryOptions().attempts(-1),
              RetryOptions().base_delay(0),
              RetryOptions().base_delay(-1),
              RetryOptions().max_delay(-1),
              RetryOptions().jitter(-1),
              RetryOptions().jitter(nan),
              RetryOptions().jitter(concurrency::inf)}) {
            bool is_refused = false;
            try {
                co_await retry(std::ref(failing), options);
            } catch (const ValueError&) {
                is_refused = true;
            }
            CHECK(is_refused);
        }
        CHECK(failing.calls == 0);
        CHECK_THROWS_AS(RetryOptions().base_delay(nan), ValueError);
        CHECK_THROWS_AS(RetryOptions().max_delay(nan), ValueError);
    });
}

TEST_CASE(
    "patterns::test_retry_deadline_capped_by_parent: a limit ends the pauses", "[retry]"
) {
    test::over_backends([]() -> Task<> {
        int calls = 0;
        auto throws = [&]() -> Task<> {
            ++calls;
            throw std::runtime_error("x");
            co_return;
        };
        const auto options =
            RetryOptions().attempts(50).base_delay(3600).max_delay(3600);
        auto trying = [&] {
            return retry(throws, options);
        };
        bool is_timeout = false;
        try {
            co_await concurrency::fail_after(0.05, trying);
        } catch (const concurrency::TimeoutError&) {
            is_timeout = true;
        }
        CHECK(is_timeout);
        CHECK(calls == 1);
        CHECK_AWAITED(concurrency::move_on_after(0.05, trying), == false);
        CHECK(calls == 2);
    });
}

TEST_CASE(
    "patterns::test_retry_deadline_expired_immediately: there is one attempt within "
    "any "
    "limit",
    "[retry]"
) {
    test::over_backends([]() -> Task<> {
        int calls = 0;
        auto waits = [&]() -> Task<> {
            ++calls;
            co_await sleep_forever();
        };
        auto trying = [&] {
            return retry(waits, RetryOptions().attempts(50));
        };
        bool is_timeout = false;
        try {
            co_await concurrency::fail_after(0, trying);
        } catch (const concurrency::TimeoutError&) {
            is_timeout = true;
        }
        CHECK(is_timeout);
        CHECK(calls == 1);
    });
}

TEST_CASE("retry: when the limit has struck already, the last error goes", "[retry]") {
    test::over_backends([]() -> Task<> {
        int calls = 0;
        auto throws = [&]() -> Task<> {
            ++calls;
            throw std::runtime_error("x");
            co_return;
        };
        auto trying = [&] {
            return retry(throws, at_once());
        };
        auto limited = [&] {
            return concurrency::fail_after(0, trying);
        };
        CHECK_AWAITED(test::thrown_by(limited), == "x");
        CHECK(calls == 1);
    });
}

TEST_CASE("retry: a cancellation is never tried again", "[retry]") {
    test::over_backends([]() -> Task<> {
        int calls = 0;
        CancelScope scope;
        auto waits = [&]() -> Task<> {
            ++calls;
            scope.cancel();
            co_await sleep_forever();
        };
        bool was_asked = false;
        const auto options = at_once().retry_on([&](const std::exception_ptr&) {
            was_asked = true;
            return true;
        });
        auto body = [&] {
            return retry(waits, options);
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(calls == 1);
        auto throws = [&]() -> Task<> {
            ++calls;
            throw concurrency::BaseExceptionGroup(
                "group", {std::make_exception_ptr(concurrency::Cancelled())}
            );
            co_return;
        };
        auto trying = [&] {
            return retry(throws, options);
        };
        CHECK_AWAITED(test::thrown_by(trying), == "[Cancelled]");
        CHECK(calls == 2);
        CHECK_FALSE(was_asked);
    });
}

TEST_CASE("retry: a call that throws before its coroutine begins", "[retry]") {
    test::over_backends([]() -> Task<> {
        int calls = 0;
        auto call = [&]() -> Task<std::unique_ptr<int>> {
            if (++calls < 3) {
                throw std::runtime_error("no coroutine");
            }
            return []() -> Task<std::unique_ptr<int>> {
                co_return std::make_unique<int>(3);
            }();
        };
        const auto result = co_await retry(call, at_once());
        CHECK(*result == 3);
    });
}

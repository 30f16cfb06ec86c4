// SPDX-License-Identifier: BSL-1.0
// Calls of a thread pool that are made again when they throw.
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::retry_on;
using futures::ThreadPoolExecutor;

namespace {

struct Flaky : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace

TEST_CASE(
    "Thread pool: what retry_on names is retried, within the budget", "[thread_pool]"
) {
    ThreadPoolExecutor threads(2);
    std::atomic<int> runs{0};
    const auto third_works = [&runs]() -> int {
        if (++runs < 3) {
            throw Flaky("run " + std::to_string(runs));
        }
        return 42;
    };
    const auto on = retry_on<Flaky>();
    CHECK(threads.submit({.retries = 2, .retry_on = on}, third_works).result() == 42);
    CHECK(runs == 3);
    runs = 0;
    CHECK_THROWS_AS(
        threads.submit({.retries = 1, .retry_on = on}, third_works).result(), Flaky
    );
    CHECK(runs == 2);
    runs = 0;
    CHECK_THROWS_AS(
        threads
            .submit(
                {.retries = 5, .retry_on = retry_on<std::logic_error>()}, third_works
            )
            .result(),
        Flaky
    );
    CHECK(runs == 1);
    runs = 0;
    CHECK(
        threads
            .submit(
                {.retries = 2, .retry_on = on, .retry_delay = 5ms},
                [&] { third_works(); }
            )
            .exception() == nullptr
    );
}

TEST_CASE("Thread pool: a call that is retried keeps its arguments", "[thread_pool]") {
    ThreadPoolExecutor threads(1);
    std::atomic<int> runs{0};
    const auto sum = [&runs](const std::string& text, const std::unique_ptr<int>& one) {
        if (++runs < 3) {
            throw Flaky("not yet");
        }
        return static_cast<int>(text.size()) + *one;
    };
    const futures::SubmitOptions options{.retries = 2, .retry_on = retry_on<Flaky>()};
    const std::string text(100, 'x');
    CHECK(threads.submit(options, sum, text, std::make_unique<int>(1)).result() == 101);
    const auto takes = [](std::unique_ptr<int> one) {
        return *one;
    };
    CHECK_THROWS_AS(
        threads.submit(options, takes, std::make_unique<int>(1)), std::invalid_argument
    );
    CHECK(threads.submit({}, takes, std::make_unique<int>(1)).result() == 1);
}

TEST_CASE("Thread pool: a cancel between two calls wins at once", "[thread_pool]") {
    ThreadPoolExecutor threads(1);
    std::atomic<int> runs{0};
    const auto future = threads.submit(
        {.retries = 5, .retry_on = retry_on<Flaky>(), .retry_delay = 1h},
        [&runs] {
            ++runs;
            throw Flaky("always");
        }
    );
    while (!future.cancel() || runs == 0) {
        if (future.cancelled()) {
            break;
        }
        std::this_thread::yield();
    }
    CHECK_THROWS_AS(future.result(), CancelledError);
    CHECK(threads.submit([] { return 1; }).result() == 1);
}

TEST_CASE(
    "Thread pool: shutdown waits for delayed calls, or cancels them", "[thread_pool]"
) {
    for (const bool cancels : {false, true}) {
        ThreadPoolExecutor threads(1);
        std::atomic<int> runs{0};
        const auto future = threads.submit(
            {.retries = 1,
             .retry_on = retry_on<Flaky>(),
             .retry_delay = cancels ? std::chrono::milliseconds(1h) : 50ms},
            [&runs] {
                if (++runs == 1) {
                    throw Flaky("once");
                }
                return 42;
            }
        );
        while (runs == 0) {
            std::this_thread::yield();
        }
        threads.shutdown({.cancel_futures = cancels});
        REQUIRE(future.done());
        CHECK(future.cancelled() == cancels);
    }
}

// SPDX-License-Identifier: BSL-1.0
// Calls of a thread pool that are made again when they throw.
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::Future;
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

TEST_CASE("Thread pool: while a call waits for its next turn, its thread is free") {
    ThreadPoolExecutor threads(1);
    std::atomic<int> runs{0};
    const auto future = threads.submit(
        {.retries = 1, .retry_on = retry_on<Flaky>(), .retry_delay = 1h},
        [&runs] {
            ++runs;
            throw Flaky("always");
        }
    );
    for (int i = 0; i < 100; ++i) {
        CHECK(threads.submit([i] { return i; }).result() == i);
    }
    CHECK(runs == 1);
    CHECK(threads.statistics().threads == 1);
    CHECK(threads.statistics().submitted == 101);
    CHECK(threads.statistics().begun == 101);
    CHECK_FALSE(future.done());
    CHECK(future.cancel());
    CHECK_THROWS_AS(future.result(), CancelledError);
}

TEST_CASE("Thread pool: a task waits in the same pool for one that is retried later") {
    ThreadPoolExecutor threads(1);
    std::atomic<int> runs{0};
    const auto tenth_works = [&runs]() -> int {
        if (++runs % 10 != 0) {
            throw Flaky("not yet");
        }
        return 42;
    };
    const auto waits = [&] {
        const auto inner = threads.submit(
            {.retries = 9, .retry_on = retry_on<Flaky>(), .retry_delay = 1ms},
            tenth_works
        );
        return inner.result();
    };
    CHECK(threads.submit(waits).result() == 42);
    CHECK(threads.submit({.priority = 3}, waits).result() == 42);
    CHECK(runs == 20);
}

TEST_CASE("Thread pool: thousands of calls that wait, some cancelled, each end once") {
    const int workers = GENERATE(1, 3);
    std::atomic<std::size_t> told{0};
    std::vector<std::atomic<int>> runs(3'000);
    std::vector<Future<std::size_t>> all;
    {
        ThreadPoolExecutor threads(workers);
        std::mt19937 random(1);
        for (std::size_t i = 0; i < runs.size(); ++i) {
            all.push_back(threads.submit(
                {.retries = 3,
                 .retry_on = retry_on<Flaky>(),
                 .retry_delay = std::chrono::microseconds(1 + random() % 2000),
                 .priority = static_cast<int>(random() % 3) - 1},
                [&runs, i]() -> std::size_t {
                    if (++runs[i] < static_cast<int>(i % 4) + 1) {
                        throw Flaky("not yet");
                    }
                    return i;
                }
            ));
            all.back().add_done_callback([&told](const auto&) { ++told; });
            if (random() % 8 == 0) {
                all[random() % all.size()].cancel();
            }
        }
        threads.shutdown();
        CHECK(threads.statistics().submitted == runs.size());
        CHECK(threads.statistics().begun == runs.size());
    }
    CHECK(told == runs.size());
    bool right = true;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        right =
            right && (all[i].cancelled() ||
                      (all[i].result() == i && runs[i] == static_cast<int>(i % 4) + 1));
    }
    CHECK(right);
}

TEST_CASE("Thread pool: a pool that breaks fails what waits for its next call") {
    std::atomic<int> threads_begun{0};
    ThreadPoolExecutor threads({.max_workers = 2, .initializer = [&threads_begun] {
                                    if (++threads_begun > 1) {
                                        throw std::logic_error("one is enough");
                                    }
                                }});
    std::atomic<int> runs{0};
    const auto future = threads.submit(
        {.retries = 1, .retry_on = retry_on<Flaky>(), .retry_delay = 1h},
        [&runs] {
            ++runs;
            throw Flaky("always");
        }
    );
    while (runs == 0) {
        std::this_thread::yield();
    }
    std::latch gate(1);
    const auto held = threads.submit([&gate] { gate.wait(); });
    try {
        while (threads_begun < 2) {
            threads.submit([] {});
        }
    } catch (const futures::BrokenThreadPool&) {
        static_cast<void>(0);
    }
    CHECK_THROWS_AS(future.result(), futures::BrokenThreadPool);
    gate.count_down();
    threads.shutdown();
}

// SPDX-License-Identifier: BSL-1.0
// Calls of a thread pool that are made again, with limits, dependencies, and tasks that
// wait for them in the same pool.
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::Future;
using futures::retry_on;
using futures::TaskTimeout;
using futures::this_task;
using futures::ThreadPoolExecutor;

namespace {

struct FlakyTogether : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void check_until_it_throws() {
    for (;;) {
        this_task().check_cancelled();
        std::this_thread::yield();
    }
}

unsigned throw_before(unsigned attempt) {
    if (this_task().attempt() < attempt) {
        throw FlakyTogether("attempt " + std::to_string(this_task().attempt()));
    }
    return this_task().attempt();
}

}  // namespace

TEST_CASE("A thread's task whose time is up is called again", "[retry]") {
    ThreadPoolExecutor threads(1);
    const auto second_works = [] {
        const auto task = this_task();
        const bool fresh = !task.stop_requested() &&
                           !task.stop_token().stop_requested() &&
                           !task.deadline().expired();
        if (task.attempt() == 1) {
            check_until_it_throws();
        }
        return fresh ? task.attempt() : 100;
    };
    futures::SubmitOptions options{
        .timeout = 50ms, .retries = 1, .retry_on = retry_on<TaskTimeout>()};
    CHECK(threads.submit(options, second_works).result() == 2);
    CHECK_THROWS_AS(
        threads.submit(options, check_until_it_throws).result(), TaskTimeout
    );
    options.retry_delay = 1ms;
    CHECK(threads.submit(options, second_works).result() == 2);
    options.retry_on = retry_on<FlakyTogether>();
    CHECK_THROWS_AS(threads.submit(options, second_works).result(), TaskTimeout);
}

TEST_CASE(
    "A thread's task that is cancelled while it runs is not called again", "[retry]"
) {
    ThreadPoolExecutor threads(1);
    std::atomic<int> calls{0};
    const auto runs = threads.submit(
        {.retries = 100, .retry_on = retry_on<std::exception>(), .name = "it"},
        [&calls] {
            ++calls;
            check_until_it_throws();
        }
    );
    while (calls == 0) {
        std::this_thread::yield();
    }
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(), CancelledError);
    CHECK(calls == 1);
}

TEST_CASE(
    "Cancelling at any moment of a thread's task that is called again", "[retry]"
) {
    ThreadPoolExecutor threads(2);
    for (int i = 0; i < 300; ++i) {
        futures::SubmitOptions options{
            .retries = 1'000'000, .retry_on = retry_on<FlakyTogether>()};
        if (i % 2 == 0) {
            options.retry_delay = std::chrono::microseconds(i);
        }
        const auto future = threads.submit(options, [] {
            this_task().check_cancelled();
            throw FlakyTogether("always");
        });
        if (i % 3 == 0) {
            std::this_thread::yield();
        }
        while (!future.cancel(futures::running)) {
            REQUIRE_FALSE(future.done());
        }
        // It was asked to stop: what it throws in this moment stands.
        const auto thrown = [&] {
            try {
                future.result(60s);
            } catch (const CancelledError&) {
                return 1;
            } catch (const FlakyTogether&) {
                return 2;
            }
            return 3;
        }();
        CHECK(thrown < 3);
    }
    CHECK(threads.submit([] { return 1; }).result() == 1);
}

TEST_CASE("Arguments that were futures are kept for the next call", "[retry]") {
    ThreadPoolExecutor threads(2);
    const Future<std::string> text;
    const Future<int> gate;
    std::atomic<int> calls{0};
    const auto twice = threads.submit(
        {.retries = 2, .retry_on = retry_on<FlakyTogether>(), .after = {gate}},
        [&calls](const std::string& what, const std::string& own) {
            if (++calls < 3) {
                throw FlakyTogether("not yet");
            }
            return what + own;
        },
        text,
        std::string("-")
    );
    text.set_result("value");
    CHECK(calls == 0);
    gate.set_result(1);
    CHECK(twice.result() == "value-");
    const auto late = threads.submit(
        {.retries = 3, .retry_on = retry_on<FlakyTogether>(), .after = {twice}},
        throw_before,
        3U
    );
    CHECK(late.result() == 3);
    Future<std::unique_ptr<int>> only_one =
        threads.submit([] { return std::make_unique<int>(5); });
    const auto takes = [](std::unique_ptr<int> one) {
        return *one;
    };
    CHECK_THROWS_AS(
        threads.submit(
            {.retries = 1, .retry_on = retry_on<FlakyTogether>()},
            takes,
            std::move(only_one)
        ),
        std::invalid_argument
    );
}

TEST_CASE("A dependent waits until the last call of a thread's task", "[retry]") {
    ThreadPoolExecutor threads(1);
    const auto base = threads.submit(
        {.retries = 3, .retry_on = retry_on<FlakyTogether>(), .retry_delay = 2ms},
        throw_before,
        4U
    );
    CHECK(threads.submit([](unsigned value) { return value + 1; }, base).result() == 5);
}

TEST_CASE("A task waits in its pool for one that is called again", "[retry]") {
    for (const auto delay : {0us, 500us}) {
        ThreadPoolExecutor threads(1);
        for (int i = 0; i < 50; ++i) {
            const auto outer = threads.submit([&] {
                const auto inner = threads.submit(
                    {.retries = 3,
                     .retry_on = retry_on<FlakyTogether>(),
                     .retry_delay = delay},
                    throw_before,
                    3U
                );
                const unsigned attempts = inner.result();
                return attempts * 10 + this_task().attempt();
            });
            CHECK(outer.result() == 31);
        }
    }
}

TEST_CASE("Several threads wait for one task that is called again", "[retry]") {
    ThreadPoolExecutor threads(3);
    for (int i = 0; i < 30; ++i) {
        std::atomic<int> calls{0};
        std::atomic<int> at_once{0};
        std::atomic<int> most{0};
        const auto flaky = threads.submit(
            {.retries = 3, .retry_on = retry_on<FlakyTogether>(), .retry_delay = 200us},
            [&] {
                most = std::max(most.load(), ++at_once);
                const int call = ++calls;
                --at_once;
                if (call < 4) {
                    throw FlakyTogether("not yet");
                }
                return call;
            }
        );
        std::vector<Future<int>> waiting;
        for (int n = 0; n < 3; ++n) {
            waiting.push_back(threads.submit([&] { return flaky.result(); }));
        }
        for (const auto& future : waiting) {
            CHECK(future.result() == 4);
        }
        CHECK(calls == 4);
        CHECK(most == 1);
    }
}

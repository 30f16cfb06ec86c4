// SPDX-License-Identifier: BSL-1.0
// Tasks of a thread pool that are to stop: by a limit, or by cancel(running). They are
// asked, and no more.
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::TaskTimeout;
using futures::this_task;
using futures::ThreadPoolExecutor;

namespace {

void check_until_stopped() {
    for (;;) {
        this_task().check_cancelled();
        std::this_thread::yield();
    }
}

int return_when_asked() {
    while (!this_task().stop_requested()) {
        std::this_thread::yield();
    }
    return 4;
}

void wait_by_token() {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait(lock, this_task().stop_token(), [] { return false; });
    this_task().check_cancelled();
}

std::string told() {
    const auto task = this_task();
    return task.name() + " " + std::to_string(task.attempt()) +
           (task.deadline().is_forever() ? " for ever " : " limited ") +
           std::to_string(task.worker_index()) + (task.stop_requested() ? " stop" : "");
}

}  // namespace

TEST_CASE("A thread's task over its limit is asked to stop", "[timeout]") {
    ThreadPoolExecutor threads(2);
    const auto late =
        threads.submit({.timeout = 10ms, .name = "count"}, check_until_stopped);
    CHECK_THROWS_AS(late.result(), TaskTimeout);
    CHECK_THROWS_WITH(
        late.result(),
        test::ContainsSubstring("count") && test::ContainsSubstring("0.01 s")
    );
    CHECK_FALSE(late.cancelled());
    CHECK_THROWS_AS(
        threads.submit({.timeout = 10ms}, wait_by_token).result(), TaskTimeout
    );
}

TEST_CASE("A thread's task that returns all the same has its value", "[timeout]") {
    ThreadPoolExecutor threads(1);
    CHECK(threads.submit({.timeout = 5ms}, return_when_asked).result() == 4);
    CHECK(threads.submit({.timeout = 60s}, [] { return 5; }).result() == 5);
    CHECK_THROWS_WITH(
        threads
            .submit(
                {.timeout = 5ms},
                [] {
                    return_when_asked();
                    throw std::runtime_error("on my own");
                }
            )
            .result(),
        "on my own"
    );
    // Nobody asked this one: it is an exception like others.
    const auto own = threads.submit([] { throw CancelledError(); });
    CHECK_THROWS_AS(own.result(), CancelledError);
    CHECK_FALSE(own.cancelled());
}

TEST_CASE("A thread's task is cancelled while it runs", "[cancel]") {
    ThreadPoolExecutor threads(1);
    std::promise<void> begun;
    std::atomic<int> calls{0};
    const auto runs = threads.submit([&] {
        begun.set_value();
        check_until_stopped();
    });
    runs.add_done_callback([&](const auto& future) {
        calls += future.cancelled() ? 1 : 100;
    });
    begun.get_future().wait();
    CHECK_FALSE(runs.cancel());
    CHECK(runs.running());
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(), CancelledError);
    CHECK(runs.cancelled());
    CHECK(runs.cancel(futures::running));
    threads.shutdown();
    CHECK(calls == 1);
}

TEST_CASE("cancel(running) of a queued thread's task is cancel()", "[cancel]") {
    ThreadPoolExecutor threads(1);
    std::promise<void> gate;
    const auto first = threads.submit([&] { gate.get_future().wait(); });
    const auto queued = threads.submit([] { return 1; });
    CHECK(queued.cancel(futures::running));
    CHECK(queued.cancelled());
    gate.set_value();
    first.result();
    CHECK_FALSE(first.cancel(futures::running));
}

TEST_CASE("Callbacks of a stop token run when a thread's task is to stop", "[cancel]") {
    ThreadPoolExecutor threads(1);
    std::promise<void> begun;
    const auto runs = threads.submit([&] {
        std::promise<void> asked;
        const std::stop_callback callback(this_task().stop_token(), [&] {
            asked.set_value();
        });
        begun.set_value();
        asked.get_future().wait();
        return this_task().stop_token().stop_requested();
    });
    begun.get_future().wait();
    CHECK(runs.cancel(futures::running));
    CHECK(runs.result());  // a value stands
}

TEST_CASE("The time of a thread's task in the queue does not count", "[timeout]") {
    ThreadPoolExecutor threads(1);
    std::promise<void> gate;
    const auto first = threads.submit([&] { gate.get_future().wait(); });
    const auto queued = threads.submit({.timeout = 60s}, told);
    const auto late = threads.submit({.timeout = 5ms}, check_until_stopped);
    gate.set_value();
    CHECK_THAT(queued.result(), test::ContainsSubstring("limited 0"));
    CHECK_THAT(queued.result(), !test::ContainsSubstring("stop"));
    CHECK_THROWS_AS(late.result(), TaskTimeout);
}

TEST_CASE(
    "billiard::pool_tests::timeout_handler_copies_cache: limits come and go while "
    "others pass",
    "[timeout]"
) {
    ThreadPoolExecutor one(3);
    ThreadPoolExecutor two_of_them(3);
    std::vector<futures::Future<void>> late;
    std::vector<futures::Future<int>> quick;
    for (int i = 0; i < 200; ++i) {
        quick.push_back(one.submit({.timeout = 60s}, [i] { return i; }));
        quick.push_back(two_of_them.submit({.timeout = 60s}, [i] { return i; }));
        if (i % 10 == 0) {
            late.push_back(one.submit(
                {.timeout = std::chrono::milliseconds(1 + i % 7)}, check_until_stopped
            ));
        }
    }
    for (std::size_t i = 0; i < quick.size(); ++i) {
        CHECK(quick[i].result() == static_cast<int>(i / 2));
    }
    for (const auto& future : late) {
        CHECK_THROWS_AS(future.result(), TaskTimeout);
    }
}

// ThreadSanitizer lets no thread begin behind a fork of a process with threads.
TEST_CASE("Limits of threads work in a process that was forked", "[timeout][no-tsan]") {
    ThreadPoolExecutor threads(1);
    CHECK_THROWS_AS(
        threads.submit({.timeout = 2ms}, check_until_stopped).result(), TaskTimeout
    );
    const int code = test::run_in_fork([] {
        ThreadPoolExecutor own(1);
        try {
            own.submit({.timeout = 2ms}, check_until_stopped).result();
        } catch (const TaskTimeout&) {
            return 7;
        }
        return 1;
    });
    CHECK(code == 7);
}

TEST_CASE("Each item of a thread pool's map has a limit of its own", "[timeout]") {
    ThreadPoolExecutor threads(2);
    auto results = threads.map(
        {.task_timeout = 10ms},
        [](int x) {
            if (x == 0) {
                check_until_stopped();
            }
            return x;
        },
        {1, 0, 2}
    );
    auto it = results.begin();
    CHECK(*it == 1);
    ++it;
    CHECK_THROWS_AS(*it, TaskTimeout);
    ++it;
    CHECK(*it == 2);
}

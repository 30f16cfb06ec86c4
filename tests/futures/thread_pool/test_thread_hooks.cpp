// SPDX-License-Identifier: BSL-1.0
// What the threads of a pool do first and last.
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/log_capture.hpp"

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using futures::Future;
using futures::ThreadPoolExecutor;
using futures::ThreadPoolOptions;

namespace {

/// The names of the threads in which something was called.
class Names {
public:
    void note() {
        const std::lock_guard lock(mutex_);
        names_.insert(futures::current_thread_name());
    }

    std::multiset<std::string> all() const {
        const std::lock_guard lock(mutex_);
        return names_;
    }

private:
    mutable std::mutex mutex_;
    std::multiset<std::string> names_;
};

ThreadPoolOptions noted(int workers, Names& begun, Names& ended) {
    ThreadPoolOptions options;
    options.max_workers = workers;
    options.thread_name_prefix = "hooked";
    options.initializer = [&begun] {
        begun.note();
    };
    options.finalizer = [&ended] {
        ended.note();
    };
    return options;
}

}  // namespace

TEST_CASE(
    "taskflow::test_workers::hooks: each thread that is made begins and ends with one "
    "call"
) {
    for (const int workers : {1, 2, 5}) {
        Names begun;
        Names ended;
        std::multiset<std::string> expected;
        for (int i = 0; i < workers; ++i) {
            expected.insert("hooked_" + std::to_string(i));
        }
        {
            ThreadPoolExecutor pool(noted(workers, begun, ended));
            std::latch together(workers);
            std::vector<Future<void>> all;
            for (int i = 0; i < workers; ++i) {
                all.push_back(pool.submit([&together] { together.arrive_and_wait(); }));
            }
            for (const auto& future : all) {
                future.result();
            }
            CHECK(ended.all().empty());
        }
        CHECK(begun.all() == expected);
        CHECK(ended.all() == expected);
    }
}

TEST_CASE("ThreadPoolExecutor: a pool without a task has no thread to begin or end") {
    Names begun;
    Names ended;
    { const ThreadPoolExecutor pool(noted(3, begun, ended)); }
    CHECK(begun.all().empty());
    CHECK(ended.all().empty());
}

TEST_CASE("ThreadPoolExecutor: threads that were added for waits end with a finalizer"
) {
    Names begun;
    Names ended;
    {
        ThreadPoolExecutor pool(noted(1, begun, ended));
        const Future<int> by_hand;
        const auto waits = pool.submit([&by_hand] { return by_hand.result(); });
        const auto completes = pool.submit([&by_hand] { by_hand.set_result(1); });
        CHECK(waits.result() == 1);
        completes.result();
    }
    CHECK(begun.all() == ended.all());
    CHECK(begun.all().size() >= 2);
}

TEST_CASE("ThreadPoolExecutor: what a finalizer throws is logged") {
    const test::LogCapture log;
    {
        ThreadPoolExecutor pool({.max_workers = 1, .finalizer = [] {
                                     throw std::runtime_error("too late");
                                 }});
        CHECK(pool.submit([] { return 1; }).result() == 1);
    }
    CHECK_THAT(log.text(), test::ContainsSubstring("finalizer"));
    CHECK_THAT(log.text(), test::ContainsSubstring("too late"));
}

TEST_CASE("ThreadPoolExecutor: no finalizer runs where the initializer failed") {
    const test::LogCapture log;
    std::atomic<int> ended{0};
    {
        ThreadPoolExecutor pool(
            {.max_workers = 1,
             .initializer = [] { throw std::runtime_error("not today"); },
             .finalizer =
                 [&ended] {
                     ++ended;
                 }}
        );
        CHECK_THROWS_AS(pool.submit([] {}).result(), futures::BrokenThreadPool);
    }
    CHECK(ended == 0);
}

TEST_CASE(
    "ThreadPoolExecutor: a finalizer may end its thread, and uses the library",
    "[no-asan]"
) {
    std::atomic<int> ended{0};
    {
        ThreadPoolExecutor pool({.max_workers = 2, .finalizer = [&ended] {
                                     ++ended;
                                     pthread_exit(nullptr);
                                 }});
        CHECK(pool.submit([] { return 1; }).result() == 1);
    }
    CHECK(ended == 1);
    ThreadPoolExecutor other(1);
    std::atomic<int> sum{0};
    {
        ThreadPoolExecutor pool({.max_workers = 1, .finalizer = [&] {
                                     sum += other.submit([] { return 7; }).result();
                                 }});
        pool.submit([] {}).result();
    }
    CHECK(sum == 7);
}

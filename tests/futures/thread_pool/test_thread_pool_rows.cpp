// SPDX-License-Identifier: BSL-1.0
// What other libraries' tests ask of a pool of threads.
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <new>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

using futures::Future;
using futures::ThreadPoolExecutor;
using test::inc;

namespace {

int nested_pools(int depth) {
    if (depth == 0) {
        return 1;
    }
    ThreadPoolExecutor one(1);
    ThreadPoolExecutor two(2);
    const auto a = one.submit(nested_pools, depth - 1);
    const auto b = two.submit(nested_pools, depth - 1);
    return a.result() + b.result();
}

void count_down_in_callbacks(ThreadPoolExecutor& threads, std::latch& left, int n) {
    threads.submit(inc, n).add_done_callback([&threads, &left, n](const auto&) {
        left.count_down();
        if (n > 1) {
            count_down_in_callbacks(threads, left, n - 1);
        }
    });
}

}  // namespace

TEST_CASE("pebble::thread_pool::stop_stopped_function: a task shuts its own pool down"
) {
    ThreadPoolExecutor threads(1);
    threads.submit([&] { threads.shutdown({.wait = false}); }).result();
    CHECK_THROWS_AS(threads.submit(inc, 1), mp::StateError);
    ThreadPoolExecutor other(1);
    const auto waits = other.submit([&] { other.shutdown(); });
    CHECK_THROWS_AS(waits.result(), mp::StateError);
}

TEST_CASE("pebble::thread_pool::stop_futures: what has not begun is cancelled") {
    ThreadPoolExecutor threads(1);
    std::binary_semaphore begun(0);
    std::binary_semaphore go(0);
    std::vector<Future<int>> futures;
    futures.push_back(threads.submit([&] {
        begun.release();
        go.acquire();
        return 1;
    }));
    for (int i = 0; i < 9; ++i) {
        futures.push_back(threads.submit(inc, i));
    }
    begun.acquire();
    threads.shutdown({.wait = false, .cancel_futures = true});
    go.release();
    threads.shutdown();
    CHECK(futures.front().result() == 1);
    for (std::size_t i = 1; i < futures.size(); ++i) {
        CHECK(futures[i].cancelled());
    }
}

TEST_CASE("pebble::thread_pool::error_callback: what is thrown may be no exception") {
    ThreadPoolExecutor threads(1);
    std::atomic<int> seen{0};
    const auto future = threads.submit([]() -> int { throw 42; });
    future.add_done_callback([&](const Future<int>& f) {
        try {
            f.result();
        } catch (const int thrown) {
            seen = thrown;
        }
    });
    CHECK_THROWS_AS(future.result(), int);
    threads.shutdown();
    CHECK(seen == 42);
}

TEST_CASE(
    "billiard::pool_tests::callback_memory_error: a callback without memory is logged"
) {
    test::LogCapture log;
    ThreadPoolExecutor threads(1);
    threads.submit(inc, 1).add_done_callback([](const auto&) { throw std::bad_alloc(); }
    );
    CHECK(threads.submit(inc, 2).result() == 3);
    threads.shutdown();
}

TEST_CASE("loky::process_executor::submit_from_callback: chains of callbacks, threads"
) {
    ThreadPoolExecutor threads(2);
    std::latch left(101 + 51 + 61);
    for (const int n : {101, 51, 61}) {
        count_down_in_callbacks(threads, left, n);
    }
    left.wait();
}

TEST_CASE("dask::test_client::fire_and_forget: a task whose future is dropped runs") {
    ThreadPoolExecutor threads(1);
    std::atomic<int> ran{0};
    for (int i = 0; i < 100; ++i) {
        threads.submit([&ran] { ++ran; });
        threads.submit([]() -> int { throw std::bad_alloc(); });
    }
    threads.shutdown();
    CHECK(ran == 100);
}

TEST_CASE("taskflow::test_dependent_asyncs::embarrassing: 100000 tasks") {
    const int workers = GENERATE(1, 2, 16);
    ThreadPoolExecutor threads(workers);
    std::atomic<int> count{0};
    std::vector<Future<void>> futures;
    for (int i = 0; i < 50'000; ++i) {
        futures.push_back(threads.submit([&count] { ++count; }));
        threads.submit([&count] { ++count; });
    }
    futures::wait(futures);
    threads.shutdown();
    CHECK(count == 100'000);
}

TEST_CASE("taskflow::test_asyncs::nested: tasks submit tasks and do not wait") {
    ThreadPoolExecutor threads(2);
    std::latch left(4 * 20'000);
    std::function<void(int)> step = [&](int depth) {
        if (depth > 1) {
            threads.submit(std::ref(step), depth - 1);
        }
        left.count_down();
    };
    for (int i = 0; i < 20'000; ++i) {
        threads.submit(std::ref(step), 4);
    }
    left.wait();
    threads.shutdown();
}

TEST_CASE(
    "taskflow::test_asyncs::recursive_100_10: the outermost is done when all have run"
) {
    ThreadPoolExecutor threads(2);
    std::atomic<int> ran{0};
    threads
        .submit([&] {
            std::vector<Future<void>> hundred;
            for (int i = 0; i < 100; ++i) {
                hundred.push_back(threads.submit([&] {
                    std::vector<Future<void>> ten;
                    for (int j = 0; j < 10; ++j) {
                        ten.push_back(threads.submit([&] { ++ran; }));
                    }
                    futures::wait(ten);
                    ++ran;
                }));
            }
            futures::wait(hundred);
            ++ran;
        })
        .result();
    CHECK(ran == 1101);
}

TEST_CASE("taskflow::test_asyncs::mixed_executors: a thread runs the tasks of its own "
          "pool only") {
    constexpr int pools = 4;
    std::vector<std::unique_ptr<ThreadPoolExecutor>> all;
    for (int i = 0; i < pools; ++i) {
        all.push_back(std::make_unique<ThreadPoolExecutor>(futures::ThreadPoolOptions{
            .max_workers = 1, .thread_name_prefix = "pool" + std::to_string(i)}));
    }
    std::vector<Future<bool>> right;
    for (int i = 0; i < 100; ++i) {
        right.push_back(all[static_cast<std::size_t>(i % pools)]->submit([&, i] {
            bool ok = true;
            for (int other = 0; other < pools; ++other) {
                const auto name = all[static_cast<std::size_t>(other)]
                                      ->submit(futures::current_thread_name)
                                      .result();
                ok = ok && name.starts_with("pool" + std::to_string(other) + "_");
            }
            return ok && futures::current_thread_name().starts_with(
                             "pool" + std::to_string(i % pools) + "_"
                         );
        }));
    }
    for (const auto& future : right) {
        CHECK(future.result());
    }
}

TEST_CASE("taskflow::test_work_stealing::starvation_branches: "
          "no work is stuck behind a busy thread") {
    const int workers = GENERATE(2, 3, 4);
    ThreadPoolExecutor threads(workers);
    for (int round = 0; round < 20; ++round) {
        std::atomic<int> done{0};
        std::vector<Future<void>> busy;
        for (int i = 0; i < workers / 2; ++i) {
            busy.push_back(threads.submit([&] {
                while (done < 100) {
                    std::this_thread::yield();
                }
            }));
        }
        for (int i = 0; i < 100; ++i) {
            threads.submit([&] { ++done; });
        }
        futures::wait(busy);
        CHECK(done == 100);
    }
}

TEST_CASE("ray::test_multiprocessing::recursive_pools: a tree of pools of threads") {
    CHECK(nested_pools(4) == 16);
    ThreadPoolExecutor threads(1);
    CHECK(threads.submit(nested_pools, 3).result() == 8);
}

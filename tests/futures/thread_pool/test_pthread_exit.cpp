// SPDX-License-Identifier: BSL-1.0
// pthread_exit() in a task, a callback or an initializer: that one fails, and the pools
// go on. A forced unwinding has no object, so UBSan takes the reference that catches it
// for a null one.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <pthread.h>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::inc;

namespace {

int leave_thread() {
    pthread_exit(nullptr);
}

/// Also out of the handler of an exception, and through objects with destructors.
int leave_from_handler(const std::shared_ptr<int>& counted) {
    const std::shared_ptr<int> copy = counted;
    try {
        throw std::runtime_error("first this");
    } catch (const std::runtime_error&) {
        pthread_exit(nullptr);
    }
}

template <class T>
void check_left(const Future<T>& future) {
    CHECK_THROWS_AS(future.result(), mp::StateError);
    CHECK_THROWS_WITH(future.result(), test::ContainsSubstring("pthread_exit"));
}

const std::thread::id main_thread = std::this_thread::get_id();

}  // namespace

TEST_CASE("pthread_exit: its task fails, the pool goes on", "[thread_pool][no-asan]") {
    const int workers = GENERATE(1, 3);
    ThreadPoolExecutor threads(workers);
    for (int round = 0; round < 20; ++round) {
        std::vector<Future<int>> left;
        std::vector<Future<int>> good;
        for (int i = 0; i < 5; ++i) {
            left.push_back(threads.submit(leave_thread));
            good.push_back(threads.submit(inc, i));
        }
        for (int i = 0; i < 5; ++i) {
            check_left(left[static_cast<std::size_t>(i)]);
            CHECK(good[static_cast<std::size_t>(i)].result() == i + 1);
        }
    }
    CHECK(threads.statistics().threads <= static_cast<std::size_t>(workers));
}

TEST_CASE("pthread_exit: what the call had is given back", "[thread_pool][no-asan]") {
    const auto counted = std::make_shared<int>(0);
    {
        ThreadPoolExecutor threads(1);
        check_left(threads.submit(leave_from_handler, counted));
    }
    CHECK(counted.use_count() == 1);
}

TEST_CASE(
    "pthread_exit: shutdown() still waits for all that is left",
    "[thread_pool][no-asan]"
) {
    std::vector<Future<int>> futures;
    {
        ThreadPoolExecutor threads(2);
        for (int i = 0; i < 30; ++i) {
            futures.push_back(
                i % 3 == 0 ? threads.submit(leave_thread) : threads.submit(inc, i)
            );
        }
        threads.shutdown();
        for (const auto& future : futures) {
            CHECK(future.done());
        }
    }
    for (std::size_t i = 0; i < futures.size(); ++i) {
        if (i % 3 == 0) {
            check_left(futures[i]);
        } else {
            CHECK(futures[i].result() == static_cast<int>(i) + 1);
        }
    }
}

TEST_CASE("pthread_exit: in a callback of a thread pool", "[thread_pool][no-asan]") {
    const test::LogCapture log;
    {
        ThreadPoolExecutor threads(1);
        std::atomic<int> called{0};
        std::binary_semaphore go(0);
        const auto future = threads.submit([&] { go.acquire(); });
        future.add_done_callback([&](const auto&) { ++called; });
        for (int i = 0; i < 3; ++i) {
            future.add_done_callback([&](const auto&) {
                ++called;
                pthread_exit(nullptr);
            });
        }
        std::promise<void> last;
        future.add_done_callback([&](const auto&) { last.set_value(); });
        go.release();
        // The next ones are run by other threads.
        last.get_future().wait();
        CHECK(called == 4);
        CHECK(threads.submit(inc, 1).result() == 2);
    }
    CHECK_THAT(log.text(), test::ContainsSubstring("called pthread_exit()"));
}

TEST_CASE(
    "pthread_exit: an initializer that calls it breaks the pool",
    "[thread_pool][no-asan]"
) {
    ThreadPoolExecutor threads({.max_workers = 2, .initializer = [] {
                                    pthread_exit(nullptr);
                                }});
    auto future = threads.submit(inc, 1);
    CHECK_THROWS_AS(future.result(), futures::BrokenThreadPool);
    CHECK_THROWS_AS(threads.submit(inc, 1), futures::BrokenThreadPool);
}

TEST_CASE("pthread_exit: in a callback of a process pool", "[pool][no-asan]") {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    std::atomic<int> called{0};
    {
        ProcessPoolExecutor pool(test::on(context, 2));
        for (int round = 0; round < 3; ++round) {
            // The future may be done before it has all its callbacks: those that are
            // added then run in this thread, beside the others.
            const auto ran = std::make_shared<std::counting_semaphore<>>(0);
            const auto count = [&called, ran] {
                ++called;
                ran->release();
            };
            const auto future = pool.submit(inc, 1);
            future.add_done_callback([count](const auto&) { count(); });
            future.add_done_callback([count](const auto&) {
                count();
                if (std::this_thread::get_id() != main_thread) {
                    pthread_exit(nullptr);
                }
            });
            future.add_done_callback([count](const auto&) { count(); });
            for (int callback = 0; callback < 3; ++callback) {
                ran->acquire();
            }
            CHECK(pool.submit(inc, round).result() == round + 1);
        }
    }
    CHECK(called == 9);  // each once, also the one that left
}

TEST_CASE("pthread_exit: in a callback that waits in turns", "[pool][no-asan]") {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    std::atomic<bool> left{false};
    ProcessPoolExecutor pool(test::on(context, 2));
    const auto both = std::make_shared<std::latch>(2);
    const auto gate = pool.submit(inc, 0);
    gate.add_done_callback([&, both](const auto&) {
        // Also when the thread leaves in the middle of it.
        const std::shared_ptr<void> end(nullptr, [both](void*) { both->count_down(); });
        const auto inner = pool.submit(inc, 1);
        inner.add_done_callback([&](const auto&) {
            if (std::this_thread::get_id() != main_thread && !left.exchange(true)) {
                pthread_exit(nullptr);
            }
        });
        pool.submit(inc, 2).result();
        inner.result();
    });
    gate.add_done_callback([both](const auto&) { both->count_down(); });
    both->wait();
    CHECK(pool.submit(inc, 5).result() == 6);
}

TEST_CASE(
    "pthread_exit: a thread of the program may end in a callback", "[future][no-asan]"
) {
    const test::LogCapture log;
    std::atomic<int> called{0};
    Future<int> future;
    future.add_done_callback([&](const auto&) {
        ++called;
        pthread_exit(nullptr);
    });
    future.add_done_callback([&](const auto&) { ++called; });
    std::atomic<bool> went_on{false};
    std::thread([&] {
        future.set_result(7);
        went_on = true;
    }).join();
    CHECK(called == 2);
    CHECK_FALSE(went_on);
    CHECK(future.result() == 7);
    Future<int> cancelled;
    cancelled.add_done_callback([](const auto&) { pthread_exit(nullptr); });
    std::thread([&] { cancelled.cancel(); }).join();
    CHECK(cancelled.cancelled());
}

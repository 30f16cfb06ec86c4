// SPDX-License-Identifier: BSL-1.0
// What other thread pools promise: their end, errors, callbacks, tasks that submit
// tasks, by their ids.
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/patience.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ThreadPoolExecutor;

namespace {

/// Submits the next of `length` empty tasks in the callback of the one before, then
/// calls `end`.
void run_chain(ThreadPoolExecutor& threads, int length, std::function<void()> end) {
    threads.submit([] {}
    ).add_done_callback([&threads, length, end = std::move(end)](const Future<void>&) {
        if (length == 1) {
            end();
        } else {
            run_chain(threads, length - 1, end);
        }
    });
}

int throw_one_of_many(int x) {
    throw std::domain_error("number " + std::to_string(x));
}

}  // namespace

TEST_CASE("pebble::thread_pool::stop_stopped_function: a task may end its own pool") {
    ThreadPoolExecutor threads(1);
    const auto ends = threads.submit([&] {
        CHECK_THROWS_AS(threads.shutdown(), mp::StateError);
        threads.shutdown({.wait = false});
    });
    CHECK(ends.exception(60s) == nullptr);
    CHECK_THROWS_AS(threads.submit([] {}), mp::StateError);
}

TEST_CASE("pebble::thread_pool::stop_futures: what was dropped is cancelled") {
    ThreadPoolExecutor threads(1);
    std::binary_semaphore begun(0);
    std::counting_semaphore<> go(0);
    std::vector<Future<void>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(threads.submit([&] {
            begun.release();
            go.acquire();
        }));
    }
    begun.acquire();
    threads.shutdown({.wait = false, .cancel_futures = true});
    go.release(10);
    threads.shutdown();
    CHECK(all[0].exception(60s) == nullptr);
    for (std::size_t i = 1; i < 10; ++i) {
        CHECK(all[i].cancelled());
    }
}

TEST_CASE(
    "pebble::thread_pool::error_callback: whatever is thrown reaches result() and the "
    "callback"
) {
    ThreadPoolExecutor threads(1);
    std::atomic<int> seen{0};
    const auto future = threads.submit([] { throw 42; });
    future.add_done_callback([&](const Future<void>& done) {
        try {
            done.result();
        } catch (int thrown) {
            seen = thrown;
        }
    });
    CHECK_THROWS_AS(future.result(60s), int);
    threads.shutdown();
    CHECK(seen == 42);
}

TEST_CASE(
    "taskflow::test_dependent_asyncs::embarrassing: a hundred thousand on any number "
    "of threads"
) {
    constexpr int tasks = 100'000;
    for (const int workers : {1, 2, 5, 16}) {
        ThreadPoolExecutor threads(workers);
        std::atomic<int> count{0};
        std::vector<Future<void>> kept;
        for (int i = 0; i < tasks; ++i) {
            auto future = threads.submit([&] { ++count; });
            if (i % 2 == 0) {
                kept.push_back(std::move(future));
            }
        }
        CHECK(futures::wait(kept, 60s).not_done.empty());
        threads.shutdown();
        CHECK(count == tasks);
    }
}

TEST_CASE("taskflow::test_asyncs::nested: each submits one that submits one, four deep"
) {
    constexpr int tasks = 100'000;
    ThreadPoolExecutor threads(4);
    std::atomic<int> count{0};
    std::latch all(4 * tasks);
    const auto ran = [&] {
        ++count;
        all.count_down();
    };
    for (int i = 0; i < tasks; ++i) {
        threads.submit([&] {
            threads.submit([&] {
                threads.submit([&] {
                    threads.submit(ran);
                    ran();
                });
                ran();
            });
            ran();
        });
    }
    all.wait();
    threads.shutdown();  // what they use goes before the pool
    CHECK(count == 4 * tasks);
}

TEST_CASE(
    "taskflow::test_asyncs::mixed_executors: executors that submit to each other know "
    "their own threads only"
) {
    constexpr int steps = 1000;
    for (const std::size_t pools : {1U, 2U, 4U, 8U}) {
        std::vector<std::unique_ptr<ThreadPoolExecutor>> all;
        for (std::size_t i = 0; i < pools; ++i) {
            all.push_back(
                std::make_unique<ThreadPoolExecutor>(futures::ThreadPoolOptions{
                    .max_workers = 2, .thread_name_prefix = "pool" + std::to_string(i)})
            );
        }
        std::atomic<int> foreign{0};
        const Future<void> end;
        std::function<void(std::size_t, int)> step = [&](std::size_t at, int left) {
            const std::string own = "pool" + std::to_string(at) + "_";
            foreign += futures::current_thread_name().starts_with(own) ? 0 : 1;
            if (left == 0) {
                end.set_result();
                return;
            }
            const std::size_t next = (at + 1) % pools;
            all[next]->submit(step, next, left - 1);
        };
        all[0]->submit(step, 0, steps);
        end.result(60s);
        CHECK(foreign == 0);
        // Before the function that their last task may still be in.
        for (auto& pool : all) {
            pool->shutdown();
        }
    }
}

TEST_CASE("taskflow::test_asyncs::recursive_100_10: one spawns 100 that spawn ten each"
) {
    ThreadPoolExecutor threads(4);
    std::atomic<int> ran{0};
    const Future<int> outermost;
    const auto count = [&] {
        if (++ran == 1101) {
            outermost.set_result(1101);
        }
    };
    threads.submit([&] {
        for (int i = 0; i < 100; ++i) {
            threads.submit([&] {
                for (int j = 0; j < 10; ++j) {
                    threads.submit(count);
                }
                count();
            });
        }
        count();
    });
    CHECK(outermost.result(60s) == 1101);
    threads.shutdown();  // as above
}

TEST_CASE("taskflow::test_work_stealing::starvation_branches: work that is ready is "
          "not stuck "
          "behind a busy thread") {
    for (const int workers : {1, 2, 3, 4, 8}) {
        ThreadPoolExecutor threads(workers);
        const int spinners = workers / 2;
        const int others = 100;
        std::atomic<int> counted{0};
        std::latch ended(spinners + others);
        run_chain(threads, 100, [&] {
            for (int i = 0; i < spinners; ++i) {
                threads.submit([&] {
                    while (counted < others) {
                        std::this_thread::yield();
                    }
                    ended.count_down();
                });
            }
            for (int i = 0; i < others; ++i) {
                threads.submit([&] {
                    ++counted;
                    ended.count_down();
                });
            }
        });
        ended.wait();
        threads.shutdown();  // as above
        CHECK(counted == others);
    }
}

TEST_CASE(
    "taskflow::test_exceptions::one_of_many: a thousand throw at once, each future has "
    "its own, a map gives the first"
) {
    ThreadPoolExecutor threads(4);
    std::vector<Future<int>> all;
    std::vector<int> numbers;
    for (int i = 0; i < 1000; ++i) {
        numbers.push_back(i);
        all.push_back(threads.submit(throw_one_of_many, i));
    }
    for (int i = 0; i < 1000; ++i) {
        CHECK_THROWS_WITH(
            all[static_cast<std::size_t>(i)].result(60s), "number " + std::to_string(i)
        );
    }
    CHECK_THROWS_WITH(threads.map(throw_one_of_many, numbers).to_vector(), "number 0");
}

TEST_CASE(
    "taskflow::test_exceptions::two_throw_together: one of them is the one that is told"
) {
    ThreadPoolExecutor threads(2);
    for (int round = 0; round < 50; ++round) {
        // Of both: the one that is not told may still be in it at the next round.
        const auto both = std::make_shared<std::latch>(2);
        const auto meet_and_throw = [both](int x) {
            both->arrive_and_wait();
            return throw_one_of_many(x);
        };
        CHECK_THROWS_WITH(threads.map(meet_and_throw, {1, 2}).to_vector(), "number 1");
    }
}

TEST_CASE(
    "taskflow::test_exceptions::detached_swallowed: a task without a future may throw"
) {
    ThreadPoolExecutor threads(2);
    std::atomic<int> ran{0};
    for (int i = 0; i < 100; ++i) {
        threads.submit(throw_one_of_many, i);
        threads.submit([&] { ++ran; });
    }
    threads.shutdown();
    CHECK(ran == 100);
}

TEST_CASE(
    "taskflow::test_exceptions::corun_rethrows: a task that waits for one that throws "
    "gets its error, and has it unless it is caught"
) {
    ThreadPoolExecutor threads(2);
    const auto uncaught =
        threads.submit([&] { return threads.submit(throw_one_of_many, 7).result(); });
    CHECK_THROWS_WITH(uncaught.result(60s), "number 7");
    const auto caught = threads.submit([&] {
        try {
            return threads.submit(throw_one_of_many, 8).result();
        } catch (const std::domain_error&) {
            return -1;
        }
    });
    CHECK(caught.result(60s) == -1);
}

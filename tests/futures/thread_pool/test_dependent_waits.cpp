// SPDX-License-Identifier: BSL-1.0
// Tasks of thread pools that wait for what depends on other futures.
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/falls_asleep.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using futures::DeadlockError;
using futures::Future;
using futures::ThreadPoolExecutor;
using test::inc;

namespace {

int waits_add(int a, int b) {
    return a + b;
}

int fib_of_tasks(ThreadPoolExecutor& threads, int n) {
    if (n < 2) {
        return n;
    }
    return threads
        .submit(
            waits_add,
            threads.submit(fib_of_tasks, std::ref(threads), n - 1),
            threads.submit(fib_of_tasks, std::ref(threads), n - 2)
        )
        .result();
}

int fib_of_all(ThreadPoolExecutor& threads, int n) {
    if (n < 2) {
        return n;
    }
    const auto both = futures::when_all(
        threads.submit(fib_of_all, std::ref(threads), n - 1),
        threads.submit(fib_of_all, std::ref(threads), n - 2)
    );
    const auto [one, other] = both.result();
    return one + other;
}

int fib_of_any(ThreadPoolExecutor& threads, int n) {
    if (n < 2) {
        return n;
    }
    const std::vector both{
        threads.submit(fib_of_any, std::ref(threads), n - 1),
        threads.submit(fib_of_any, std::ref(threads), n - 2)};
    static_cast<void>(futures::when_any(both).result());
    return both[0].result() + both[1].result();
}

int sum_by_then(ThreadPoolExecutor& threads, int n) {
    if (n == 0) {
        return 0;
    }
    const auto inner = threads.submit(sum_by_then, std::ref(threads), n - 1);
    const auto sum = inner.then([n](int x) { return x + n; });
    inner.result();
    return sum.result();
}

int sum_by_callbacks(ThreadPoolExecutor& threads, int n) {
    if (n == 0) {
        return 0;
    }
    const auto inner = threads.submit(sum_by_callbacks, std::ref(threads), n - 1);
    Future<int> sum;
    inner.add_done_callback([n, sum](const Future<int>& f) {
        sum.set_result(f.result() + n);
    });
    inner.result();
    return sum.result();
}

int sum_by_returned_futures(ThreadPoolExecutor& threads, int n) {
    if (n == 0) {
        return 0;
    }
    Future<int> begin;
    const auto sum = begin.then([n, &threads](int) {
        return threads.submit(sum_by_returned_futures, std::ref(threads), n - 1);
    });
    begin.set_result(0);
    return sum.result() + n;
}

int sum_by_process(
    ThreadPoolExecutor& threads, futures::ProcessPoolExecutor& processes, int n
) {
    if (n == 0) {
        return 0;
    }
    return processes
        .submit(
            waits_add,
            n,
            threads.submit(
                sum_by_process, std::ref(threads), std::ref(processes), n - 1
            )
        )
        .result();
}

}  // namespace

TEST_CASE("waits: a recursion whose tasks depend on each other ends") {
    const int workers = GENERATE(1, 2);
    ThreadPoolExecutor threads(workers);
    CHECK(threads.submit(fib_of_tasks, std::ref(threads), 15).result() == 610);
    CHECK(threads.submit(fib_of_all, std::ref(threads), 13).result() == 233);
    CHECK(threads.submit(fib_of_any, std::ref(threads), 10).result() == 55);
}

TEST_CASE("waits: a recursion that waits for what then() makes ends") {
    const int workers = GENERATE(1, 2);
    ThreadPoolExecutor threads(workers);
    CHECK(threads.submit(sum_by_then, std::ref(threads), 100).result() == 5050);
    CHECK(
        threads.submit(sum_by_returned_futures, std::ref(threads), 100).result() == 5050
    );
}

TEST_CASE("waits: a recursion that waits for what callbacks complete ends") {
    ThreadPoolExecutor threads(1);
    CHECK(threads.submit(sum_by_callbacks, std::ref(threads), 300).result() == 45150);
}

TEST_CASE("waits: a recursion over a pool of threads and one of processes ends") {
    ThreadPoolExecutor threads(1);
    futures::ProcessPoolExecutor processes(1);
    CHECK(
        threads.submit(sum_by_process, std::ref(threads), std::ref(processes), 30)
            .result() == 465
    );
}

TEST_CASE("waits: what a wait needs is begun in another pool, too") {
    ThreadPoolExecutor a(1);
    ThreadPoolExecutor b(1);
    // All threads of b wait, and there are as many more as it may add for them.
    std::vector<Future<int>> waiting;
    const Future<int> by_hand;
    for (int i = 0; i < 200; ++i) {
        waiting.push_back(b.submit([&] { return by_hand.result(); }));
    }
    const auto needed = b.submit(inc, 1);
    const auto outer =
        a.submit([&] { return a.submit(waits_add, needed, needed).result(); });
    CHECK(outer.result() == 4);
    by_hand.set_result(1);
    for (const auto& f : waiting) {
        f.result();
    }
}

// Cycles

namespace {

/// What a wait that ends with a DeadlockError says.
template <class T>
std::string text_of_cycle(const Future<T>& future) {
    try {
        future.result();
    } catch (const DeadlockError& error) {
        return error.what();
    }
    return {};
}

/// A task that gets its own future, and waits for what `make` makes of it.
template <class Make>
std::string text_of_own_cycle(ThreadPoolExecutor& threads, Make make) {
    Future<std::optional<Future<std::string>>> own;
    const auto task =
        threads.submit([&, make] { return text_of_cycle(make(*own.result(10min))); });
    own.set_result(std::optional(task));
    return task.result();
}

int waits_next(int x) {
    return x + 1;
}

}  // namespace

TEST_CASE("waits: a task that waits for what depends on it gets a DeadlockError") {
    const int workers = GENERATE(1, 2);
    ThreadPoolExecutor threads(workers);
    const auto of_task = text_of_own_cycle(threads, [&](const auto& own) {
        return threads.submit({.after = {own}}, waits_next, 1);
    });
    CHECK_THAT(of_task, test::ContainsSubstring("waits_next"));
    CHECK_THAT(
        text_of_own_cycle(
            threads,
            [](const auto& own) {
                return own.then([](const std::string&) { return 1; });
            }
        ),
        test::ContainsSubstring("waits for")
    );
    const Future<std::string> by_hand;
    CHECK_FALSE(text_of_own_cycle(threads, [&](const auto& own) {
                    return futures::when_all({own, by_hand});
                }).empty());
    CHECK_FALSE(text_of_own_cycle(threads, [&](const auto& own) {
                    return futures::when_any({own, own});
                }).empty());
}

TEST_CASE("waits: a way out of a cycle through dependencies is no cycle") {
    ThreadPoolExecutor threads(1);
    const Future<std::string> by_hand;
    std::binary_semaphore there(0);
    Future<std::optional<Future<std::string>>> own;
    std::atomic<pid_t> waiting{0};
    const auto task = threads.submit([&] {
        const auto any = futures::when_any({*own.result(10min), by_hand});
        waiting = gettid();
        return any.result().future().result();
    });
    own.set_result(std::optional(task));
    REQUIRE(test::falls_asleep(waiting));
    by_hand.set_result("out");
    CHECK(task.result() == "out");
}

TEST_CASE("waits: a graph whose ends are made by hand has no cycle") {
    ThreadPoolExecutor threads(1);
    const Future<int> by_hand;
    std::atomic<pid_t> waiting{0};
    const auto outer = threads.submit([&] {
        const auto one = threads.submit(inc, by_hand);
        const auto two = threads.submit(waits_add, one, one);
        const auto both = futures::when_all(one, two, one.then(inc));
        waiting = gettid();
        return std::get<1>(both.result());
    });
    REQUIRE(test::falls_asleep(waiting));
    by_hand.set_result(1);
    CHECK(outer.result() == 4);
}

TEST_CASE("waits: a cycle of waits and dependencies over two tasks is found") {
    ThreadPoolExecutor threads(2);
    for (int round = 0; round < 20; ++round) {
        std::latch ready(1);
        std::optional<Future<int>> a;
        std::optional<Future<int>> b;
        std::optional<Future<int>> h;
        std::atomic<int> found{0};
        const auto wait_for = [&](const std::optional<Future<int>>& f) {
            ready.wait();
            try {
                return f->result();
            } catch (const DeadlockError&) {
                ++found;
                return 1;
            }
        };
        a = threads.submit([&] { return wait_for(h); });
        b = threads.submit([&] { return wait_for(a); });
        h = threads.submit(waits_next, *b);
        ready.count_down();
        CHECK(h->result() + a->result() >= 2);
        CHECK(found == 1);
    }
}

TEST_CASE(
    "waits: a forked child completes what a task of its parent depends on",
    "[fork][no-tsan]"
) {
    ThreadPoolExecutor threads(1);
    const Future<int> by_hand;
    const auto after = threads.submit(inc, by_hand);
    CHECK(test::run_in_fork([&] {
              by_hand.set_result(1);
              return after.exception() != nullptr ? 0 : 1;
          }) == 0);
    by_hand.set_result(2);
    CHECK(after.result() == 3);
}

TEST_CASE("waits: tasks that depend on any earlier ones, and wait for such, all end") {
    const unsigned seed = GENERATE(1U, 2U, 3U);
    CAPTURE(seed);
    std::minstd_rand random(seed);
    ThreadPoolExecutor a(2);
    ThreadPoolExecutor b(1);
    const Future<int> begin;
    std::vector<Future<int>> all{begin};
    constexpr int count = 1200;
    for (int i = 1; i < count; ++i) {
        if (i == 100) {
            begin.set_result(0);
        }
        std::vector<Future<int>> needed;
        for (unsigned n = static_cast<unsigned>(random() % 4) + 1; n > 0; --n) {
            needed.push_back(
                all[all.size() - 1 - random() % std::min<std::size_t>(all.size(), 60)]
            );
        }
        ThreadPoolExecutor& pool = random() % 2 == 0 ? a : b;
        const auto wait_for = [needed](unsigned how) {
            if (how == 0) {
                static_cast<void>(futures::when_all(needed).result());
            } else if (how == 1) {
                static_cast<void>(futures::when_any(needed).result());
            } else if (how == 2) {
                needed.front().then(inc).result();
            } else {
                futures::wait(needed, futures::FIRST_COMPLETED);
            }
        };
        switch (random() % 4) {
        case 0:
            all.push_back(pool.submit({.after = needed}, inc, i - 1));
            break;
        case 1:
            all.push_back(futures::when_all(needed).then([i](const auto&) { return i; })
            );
            break;
        case 2:
            all.push_back(pool.submit(
                {.after = {needed.front()}},
                [i, wait_for, how = static_cast<unsigned>(random()) % 4] {
                    wait_for(how);
                    return i;
                }
            ));
            break;
        default:
            all.push_back(
                pool.submit([i, wait_for, how = static_cast<unsigned>(random()) % 4] {
                    wait_for(how);
                    return i;
                })
            );
        }
    }
    for (int i = 0; i < count; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result() == i);
    }
    CHECK(test::soon([&] { return a.statistics().threads <= 2; }));
    CHECK(test::soon([&] { return b.statistics().threads <= 1; }));
}

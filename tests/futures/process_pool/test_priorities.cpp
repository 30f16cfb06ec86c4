// SPDX-License-Identifier: BSL-1.0
// Priorities: which of the tasks that wait is the next.
#include "futures/process_pool.hpp"

#include "process_pool/waiting_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::Gate;
using test::inc;

namespace {

int hold(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    return 0;
}

std::int64_t now_of_task() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

/// In which order one worker ran tasks that each told when.
std::vector<std::size_t> order_of(const std::vector<Future<std::int64_t>>& futures) {
    std::vector<std::size_t> order(futures.size());
    std::vector<std::int64_t> times;
    for (std::size_t i = 0; i < futures.size(); ++i) {
        order[i] = i;
        times.push_back(futures[i].result(60s));
    }
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return times[a] < times[b];
    });
    return order;
}

/// One worker that is busy until released.
struct Busy {
    explicit Busy(const mp::Context& context)
        : pool(test::on(context, 1, OnWorkerLoss::retry)),
          held(pool.submit(hold, bell.path(), gate.path())) {
        REQUIRE(bell.wait_for(1));
    }

    void release() {
        gate.open(1);
        held.result(60s);
    }

    Gate bell;
    Gate gate;
    ProcessPoolExecutor pool;
    Future<int> held;
};

}  // namespace

TEST_CASE(
    "dask::test_priorities::submit dask::test_priorities::claimed_tasks "
    "taskflow::test_priorities::single_thread_order: larger numbers first, also when "
    "smaller ones stand on the board already",
    "[pool]"
) {
    Busy busy(each_pool_start_method());
    std::vector<Future<std::int64_t>> futures;
    for (int i = 0; i < 3; ++i) {
        futures.push_back(busy.pool.submit(now_of_task));
    }
    futures.push_back(busy.pool.submit({.priority = -1}, now_of_task));
    futures.push_back(busy.pool.submit({.priority = 1}, now_of_task));
    futures.push_back(busy.pool.submit(now_of_task));
    futures.push_back(busy.pool.submit({.priority = 7}, now_of_task));
    futures.push_back(busy.pool.submit({.priority = 1}, now_of_task));
    busy.release();
    CHECK(order_of(futures) == std::vector<std::size_t>{6, 4, 7, 0, 1, 2, 5, 3});
}

TEST_CASE(
    "dask::test_scheduler::fifo_submission dask::test_priorities::last_in_first_out: "
    "equal ones run in the order in which they were submitted",
    "[pool]"
) {
    Busy busy(quick_pool_context());
    std::vector<Future<std::int64_t>> futures;
    std::vector<std::size_t> expected;
    for (std::size_t i = 0; i < 200; ++i) {
        futures.push_back(busy.pool.submit({.priority = 3}, now_of_task));
        expected.push_back(i);
    }
    busy.release();
    CHECK(order_of(futures) == expected);
}

TEST_CASE(
    "taskflow::test_priorities::random_levels "
    "taskflow::test_priorities::mixed_with_plain"
    ": all run exactly once",
    "[pool]"
) {
    const int workers = GENERATE(1, 3);
    ProcessPoolExecutor pool(test::on(quick_pool_context(), workers));
    std::mt19937 random(3);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 10'000; ++i) {
        futures.push_back(
            pool.submit({.priority = static_cast<int>(random() % 7) - 3}, inc, i)
        );
    }
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(futures[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    CHECK(pool.statistics().concluded == 10'000);
}

TEST_CASE("Priorities: what waits can be cancelled, wherever it waits", "[pool]") {
    Busy busy(quick_pool_context());
    std::vector<Future<int>> futures;
    for (int i = 0; i < 300; ++i) {
        futures.push_back(busy.pool.submit({.priority = i % 5}, inc, i));
    }
    for (std::size_t i = 0; i < 300; i += 2) {
        CHECK(futures[i].cancel());
    }
    busy.release();
    for (int i = 1; i < 300; i += 2) {
        REQUIRE(futures[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
}

TEST_CASE("Priorities: all that waits cancelled, then another one", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2));
    for (int round = 0; round < 200; ++round) {
        auto one = pool.submit({.priority = 1}, inc, 1);
        auto two = pool.submit({.priority = 2}, inc, 2);
        auto three = pool.submit({.priority = 3}, inc, 3);
        auto four = pool.submit({.priority = 4}, inc, 4);
        three.cancel();
        four.cancel();
        two.cancel();
        REQUIRE(one.result(60s) == 2);
    }
}

TEST_CASE(
    "taskflow::test_priorities::ageing: a task is passed by 256 others at most",
    "[pool]"
) {
    Busy busy(quick_pool_context());
    std::vector<Future<std::int64_t>> futures;
    futures.push_back(busy.pool.submit(now_of_task));
    for (int i = 0; i < 600; ++i) {
        futures.push_back(busy.pool.submit({.priority = 9}, now_of_task));
    }
    busy.release();
    const auto order = order_of(futures);
    const auto place = std::find(order.begin(), order.end(), 0U) - order.begin();
    CHECK(place <= 256);
    CHECK(place >= 200);
}

TEST_CASE("Priorities: a steady stream of urgent tasks starves none", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    std::atomic<bool> over{false};
    std::atomic<int> sent{0};
    std::thread stream([&] {
        std::vector<Future<int>> futures;
        while (!over) {
            futures.push_back(pool.submit({.priority = 5}, inc, 1));
            ++sent;
            if (futures.size() > 20) {
                futures.front().result(60s);
                futures.erase(futures.begin());
            }
        }
    });
    while (sent < 40) {
        std::this_thread::yield();
    }
    const int got = pool.submit({.priority = -5}, inc, 1).result(60s);
    over = true;
    stream.join();
    CHECK(got == 2);
}

TEST_CASE("Priorities: tasks survive their workers", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2, OnWorkerLoss::retry));
    std::vector<Future<int>> futures;
    for (int i = 0; i < 2000; ++i) {
        futures.push_back(pool.submit({.retries = 50, .priority = i % 3}, inc, i));
        if (i % 200 == 100) {
            for (const pid_t worker : pool.workers()) {
                kill(worker, SIGKILL);
            }
        }
    }
    for (int i = 0; i < 2000; ++i) {
        REQUIRE(futures[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
}

TEST_CASE("Priorities: after them, plain tasks take the plain way", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2));
    for (int round = 0; round < 20; ++round) {
        std::vector<Future<int>> futures;
        for (int i = 0; i < 2000; ++i) {
            const int priority = i % 500 == 0 ? 1 : 0;
            futures.push_back(pool.submit({.priority = priority}, inc, i));
        }
        for (int i = 0; i < 2000; ++i) {
            REQUIRE(futures[static_cast<std::size_t>(i)].result(60s) == i + 1);
        }
    }
}

namespace {

std::int64_t now_of_item(int) {
    return now_of_task();
}

}  // namespace

TEST_CASE(
    "dask::test_priorities::map: all items of a more urgent map run before any of "
    "another",
    "[pool]"
) {
    Busy busy(quick_pool_context());
    const std::vector<int> items{1, 2, 3};
    auto low = busy.pool.map({.priority = -1}, now_of_item, items);
    auto high = busy.pool.map({.priority = 1}, now_of_item, items);
    busy.release();
    const auto early = high.to_vector();
    const auto late = low.to_vector();
    CHECK(
        *std::max_element(early.begin(), early.end()) <
        *std::min_element(late.begin(), late.end())
    );
}

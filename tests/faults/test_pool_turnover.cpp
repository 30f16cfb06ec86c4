// SPDX-License-Identifier: BSL-1.0
// Pools whose workers come and go: after so many tasks, for lack of work, by another
// size. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"
#include "mp/units.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::ResourceLimitExceeded;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::ring_and_pass;

namespace {

ProcessPoolOptions one_task_each(int workers) {
    auto options = on(each_replacing_method(), workers, OnWorkerLoss::isolate);
    options.max_tasks_per_child = 1;
    return options;
}

ProcessPoolOptions turning_pool() {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate);
}

int throw_always() {
    throw std::domain_error("its last task");
}

int leak_three_megabytes(int x) {
    constexpr std::size_t size = 3U << 20U;
    static std::vector<std::unique_ptr<char[]>> kept;
    kept.emplace_back(new char[size]);
    std::memset(kept.back().get(), 1, size);
    return x;
}

std::size_t allocate_bytes(std::size_t size) {
    const std::vector<char> room(size, 'x');
    return room.size();
}

int burn_for_ever() {
    for (volatile int i = 0;;) {
        i = 1 - i;
    }
}

}  // namespace

TEST_CASE("K2 K5: workers of one task each, and shutdown(wait=false)", "[faults]") {
    ProcessPoolExecutor pool(one_task_each(GENERATE(1, 2, 8)));
    std::vector<Future<int>> good;
    std::vector<Future<int>> bad;
    for (int i = 0; i < 10; ++i) {
        good.push_back(pool.submit(inc, i));
        bad.push_back(pool.submit(throw_always));
    }
    pool.shutdown({.wait = false});
    for (int i = 0; i < 10; ++i) {
        CHECK(good[static_cast<std::size_t>(i)].result(60s) == i + 1);
        CHECK_THROWS_AS(
            bad[static_cast<std::size_t>(i)].result(60s), std::domain_error
        );
    }
}

TEST_CASE("K3: workers of one task each, and the executor goes", "[faults]") {
    std::vector<Future<int>> all;
    {
        ProcessPoolExecutor pool(one_task_each(GENERATE(1, 2, 8)));
        for (int i = 0; i < 10; ++i) {
            all.push_back(pool.submit(inc, i));
        }
    }
    for (int i = 0; i < 10; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(0s) == i + 1);
    }
}

TEST_CASE(
    "K4: workers that are being replaced while the pool is ended by force", "[faults]"
) {
    for (int round = 0; round < 5; ++round) {
        ProcessPoolExecutor pool(one_task_each(2));
        std::vector<Future<int>> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(pool.submit(inc, i));
        }
        all[static_cast<std::size_t>(round)].result(60s);
        pool.kill_workers();
        pool.shutdown();  // the case's listener finds what escaped
        for (const auto& one : all) {
            CHECK(one.done());
        }
    }
}

TEST_CASE("K6 K7: sizes change while tasks run and workers die", "[faults]") {
    const test::LogCapture log;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 4, OnWorkerLoss::retry));
    std::vector<Future<int>> all;
    int at = 0;
    for (const int size : {12, 2, 1, 12, 6, 1, 8, 5}) {
        for (int i = 0; i < 50; ++i) {
            all.push_back(pool.submit({.retries = 20}, inc, at++));
        }
        pool.resize(size);
        const auto workers = pool.workers();
        if (!workers.empty()) {
            kill(workers[static_cast<std::size_t>(size) % workers.size()], SIGKILL);
        }
    }
    for (int i = 0; i < at; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    // One that was killed may count until its end is noticed.
    CHECK(test::soon([&] {
        pool.bootup();
        return pool.workers().size() == 5;
    }));
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE("K8: bursts at workers that leave after a millisecond", "[faults]") {
    const test::LogCapture log;
    auto options = turning_pool();
    options.idle_timeout = 1ms;
    ProcessPoolExecutor pool(options);
    for (int burst = 0; burst < 20; ++burst) {
        std::vector<Future<int>> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(pool.submit(inc, i));
        }
        for (int i = 0; i < 20; ++i) {
            CHECK(all[static_cast<std::size_t>(i)].result(60s) == i + 1);
        }
        if (burst % 5 == 0) {
            CHECK(test::soon([&] { return pool.workers().empty(); }));
        }
    }
    CHECK(pool.statistics().workers_lost == 0);
}

// A sanitizer has memory of its own.
TEST_CASE(
    "K10: workers that leak are replaced between tasks", "[faults][no-asan][no-tsan]"
) {
    const test::LogCapture log;
    auto options = turning_pool();
    options.max_memory_per_child = 100 * mp::MiB;
    ProcessPoolExecutor pool(options);
    for (int i = 0; i < 100; ++i) {
        CHECK(pool.submit(leak_three_megabytes, i).result(60s) == i);
    }
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().workers_retired > 0);
}

TEST_CASE("K12: sizes that cannot be", "[faults]") {
    ProcessPoolExecutor pool(turning_pool());
    for (const int size : {0, -1, 513, 100'000}) {
        CHECK_THROWS_AS(pool.resize(size), std::invalid_argument);
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "C26: a task that wants more memory than its limit", "[faults][no-asan][no-tsan]"
) {
    auto options = turning_pool();
    options.limits.memory = 64 * mp::MiB;
    ProcessPoolExecutor pool(options);
    const auto greedy = pool.submit(allocate_bytes, std::size_t{256} << 20U);
    CHECK_THROWS_AS(greedy.result(60s), ResourceLimitExceeded);
    CHECK(pool.submit(allocate_bytes, std::size_t{1} << 20U).result(60s) > 0);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("C27: a task that burns processor time", "[faults]") {
    auto options = turning_pool();
    options.limits.cpu_time = 100ms;
    ProcessPoolExecutor pool(options);
    const auto burning = pool.submit(burn_for_ever);
    CHECK_THROWS_AS(burning.result(60s), ResourceLimitExceeded);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

// SPDX-License-Identifier: BSL-1.0
// ProcessPoolStatistics: what a future tells of is counted before it tells.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <future>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

void die() {
    raise(SIGKILL);
}

void sleep_long() {
    pause();
}

}  // namespace

TEST_CASE("counters: a lost task is counted when its future says so", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    for (std::uint64_t round = 1; round <= 20; ++round) {
        const auto lost = pool.submit(die);
        CHECK_THROWS_AS(lost.result(), futures::WorkerLost);
        const auto counts = pool.statistics();
        CHECK(counts.tasks_lost == round);
        CHECK(counts.workers_lost == round);
        CHECK(counts.concluded == round);
        CHECK(counts.submitted == round);
        CHECK(counts.workers_started >= round);
    }
}

TEST_CASE("counters: so is one that ran too long", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    for (std::uint64_t round = 1; round <= 3; ++round) {
        const auto late = pool.submit({.timeout = 1ms}, sleep_long);
        CHECK_THROWS_AS(late.result(), futures::TaskTimeout);
        CHECK(pool.statistics().tasks_lost == round);
        CHECK(pool.statistics().concluded == round);
    }
}

TEST_CASE("counters: callbacks find it counted, too", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    for (std::uint64_t round = 1; round <= 10; ++round) {
        std::promise<std::uint64_t> seen;
        const auto lost = pool.submit(die);
        lost.add_done_callback([&](const auto&) {
            seen.set_value(pool.statistics().tasks_lost);
        });
        CHECK(seen.get_future().get() == round);
    }
}

TEST_CASE("counters: a broken pool has counted before it says so", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const auto lost = pool.submit(die);
    const auto waits = pool.submit(inc, 1);
    CHECK_THROWS_AS(lost.result(), futures::WorkerLost);
    CHECK(pool.statistics().tasks_lost == 1);
    CHECK(pool.statistics().workers_lost == 1);
    CHECK_THROWS_AS(waits.result(), futures::BrokenProcessPool);
    CHECK(pool.statistics().concluded == 2);
}

TEST_CASE("counters: a result, and a cancelled task", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    for (std::uint64_t round = 1; round <= 50; ++round) {
        pool.submit(inc, 1).result();
        const auto counts = pool.statistics();
        CHECK(counts.concluded == round);
        CHECK(counts.submitted == round);
    }
    const auto runs = pool.submit(sleep_long);
    const auto waits = pool.submit(inc, 1);
    CHECK(waits.cancel());
    CHECK(pool.statistics().concluded == 51);
    pool.kill_workers();
    CHECK_THROWS_AS(runs.result(), futures::BrokenProcessPool);
    CHECK(pool.statistics().concluded == 52);
}

// SPDX-License-Identifier: BSL-1.0
// Pools and processes that tasks of pools make: how deep, how large, and that all of it
// ends. Tasks that submit to their own pool: test_this_pool.cpp.
#include "futures/futures.hpp"
#include "mp/cpu_count.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include "process_pool/pool_depth.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::this_pool;
using test::Gate;
using test::inc;
using test::on;

namespace {

void nothing() {}

int start_and_join() {
    mp::Process process(nothing);
    process.start();
    process.join();
    return process.exitcode() == 0 ? 1 : 0;
}

int one_in_own_pool() {
    ProcessPoolExecutor inner(1);
    return inner.submit(inc, 0).result();
}

int thirteen_in_own_pool() {
    ProcessPoolExecutor inner(2);
    std::vector<int> inputs(13);
    std::iota(inputs.begin(), inputs.end(), 0);
    int sum = 0;
    for (const int x : inner.map(inc, inputs)) {
        sum += x;
    }
    return sum;
}

/// So many pools inside each other, below this one.
int nested(int levels, bool kills) {
    if (levels == 0) {
        return 42;
    }
    ProcessPoolExecutor inner(1);
    const int result = inner.submit(nested, levels - 1, kills).result();
    if (kills) {
        inner.kill_workers();
    }
    return result;
}

std::string too_deep(int levels) {
    try {
        nested(levels, false);
    } catch (const mp::StateError& error) {
        return error.what();
    }
    return "";
}

std::size_t default_workers() {
    return ProcessPoolExecutor().statistics().max_workers;
}

std::size_t chosen_workers() {
    return ProcessPoolExecutor(3).statistics().max_workers;
}

int idle_pool_inside() {
    static ProcessPoolExecutor inner({.max_workers = 1, .idle_timeout = 1h});
    return inner.submit(inc, 1).result();
}

int once_lost() {
    if (futures::this_task().attempt() == 1) {
        ::kill(::getpid(), SIGKILL);
    }
    return 5;
}

int wait_for_retried() {
    return this_pool().submit({.retries = 1}, once_lost).result();
}

int no_two_at_once(int x) {
    return this_pool().submit(inc, x).result();
}

std::int64_t time_now() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

std::int64_t time_of_inner(const std::string& gate) {
    test::pass(gate);
    return this_pool().submit(time_now).result();
}

}  // namespace

TEST_CASE("pebble::process_pool::child_process: a task starts a process and joins it") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    CHECK(pool.submit(start_and_join).result() == 1);
}

TEST_CASE("pebble::process_pool::child_pool pebble::process_pool::child_pebble: a task "
          "makes a pool of one worker, and returns its result") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    CHECK(pool.submit(one_in_own_pool).result() == 1);
}

TEST_CASE("mpire::pool::daemon.nested_allowed: four tasks each map in a pool of their "
          "own") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 4));
    std::vector<Future<int>> all;
    for (int i = 0; i < 4; ++i) {
        all.push_back(pool.submit(thirteen_in_own_pool));
    }
    for (const auto& future : all) {
        CHECK(future.result() == 91);
    }
}

TEST_CASE(
    "loky::process_executor::max_depth loky::process_executor::max_depth_fork: ten "
    "pools inside each other work, the eleventh says that they are too deep"
) {
    const bool kills = GENERATE(false, true);
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    CHECK(pool.submit(nested, 9, kills).result() == 42);
    const std::string text = pool.submit(too_deep, 10).result();
    CHECK_THAT(text, test::ContainsSubstring("max_depth is 10"));
    CHECK_THAT(text, test::ContainsSubstring("11th"));
}

TEST_CASE("ProcessPoolExecutor: max_depth is for each pool to say") {
    CHECK_THROWS_AS(
        ProcessPoolExecutor({.max_workers = 1, .max_depth = 0}), std::invalid_argument
    );
    CHECK(futures::detail::pool_depth() == 0);
    const auto pools = [](int most) {
        try {
            ProcessPoolExecutor inner({.max_workers = 1, .max_depth = most});
            return inner.submit(inc, most).result();
        } catch (const mp::StateError&) {
            return -1;
        }
    };
    ProcessPoolExecutor pool({.max_workers = 1, .max_depth = 1});
    CHECK(pool.submit(pools, 1).result() == -1);
    CHECK(pool.submit(pools, 2).result() == 3);
}

TEST_CASE("a pool in a task has its share of the processors, unless it says a number") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const auto all = static_cast<std::size_t>(mp::usable_cpu_count());
    CHECK(default_workers() == all);
    CHECK(pool.submit(default_workers).result() == std::max<std::size_t>(all / 2, 1));
    CHECK(pool.submit(chosen_workers).result() == 3);
}

TEST_CASE("loky::reusable_executor::nested_reusable_exit: pools in workers whose own "
          "workers idle for long do not hold up the end") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2));
    std::vector<Future<int>> all;
    for (int i = 0; i < 2; ++i) {
        all.push_back(pool.submit(idle_pool_inside));
    }
    for (const auto& future : all) {
        CHECK(future.result() == 2);
    }
}

TEST_CASE("ray::test_worker_capping::dependency_runs_later: a task that waits for one "
          "which is run again after its crash lets that run") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    CHECK(pool.submit(wait_for_retried).result() == 5);
}

TEST_CASE(
    "ray::test_failure::nested_capacity_warning: tasks that wait for tasks have no "
    "more workers than max_blocked allows"
) {
    ProcessPoolExecutor pool(
        {.max_workers = 2,
         .mp_context = quick_pool_context(),
         .on_worker_loss = OnWorkerLoss::isolate,
         .max_blocked = 1}
    );
    std::vector<Future<int>> all;
    for (int i = 0; i < 200; ++i) {
        all.push_back(pool.submit(no_two_at_once, i));
    }
    for (int i = 0; i < 200; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result() == i + 1);
        CHECK(pool.workers().size() <= 3);
    }
}

TEST_CASE(
    "dask::test_client::sub_submit_priority: what a task submits comes before what "
    "waits beside it"
) {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int priority = GENERATE(0, 5);
    const Gate gate;
    ProcessPoolExecutor pool(on(quick_pool_context(), 1, loss));
    auto outer = pool.submit({.priority = priority}, time_of_inner, gate.path());
    std::vector<Future<std::int64_t>> others;
    for (int i = 0; i < 2000; ++i) {
        others.push_back(pool.submit({.priority = priority}, time_now));
    }
    gate.open(1);
    const std::int64_t inner = outer.result();
    // With the worker that is added one of them may run beside it.
    int before = 0;
    for (const auto& other : others) {
        before += other.result() < inner ? 1 : 0;
    }
    CHECK(before <= 1);
}

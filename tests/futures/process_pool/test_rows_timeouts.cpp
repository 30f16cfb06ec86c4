// SPDX-License-Identifier: BSL-1.0
// Tasks that run longer than they may: behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/patience.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::TaskTimeout;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::tasks::pid;
using test::tasks::ring_and_pass;
using Clock = std::chrono::steady_clock;

namespace {

int never_end() {
    test::block_until_killed();
}

int never_end_and_ignore_sigterm() {
    signal(SIGTERM, SIG_IGN);
    test::block_until_killed();
}

int compute_for(int milliseconds) {
    const auto until = Clock::now() + std::chrono::milliseconds(milliseconds);
    while (Clock::now() < until) {
    }
    return milliseconds;
}

int end_or_not(int x) {
    return x % 2 == 0 ? x : never_end();
}

int stop_this_process() {
    raise(SIGSTOP);
    return 1;
}

}  // namespace

TEST_CASE("pebble::process_pool::timeout: the future says so, and the scope can be left"
) {
    const auto context = each_pool_start_method();
    Future<int> late;
    Future<int> other;
    {
        ProcessPoolExecutor pool(on(context, 1));
        late = pool.submit({.timeout = 100ms}, never_end);
        other = pool.submit(inc, 1);
    }
    CHECK_THROWS_AS(late.result(0s), TaskTimeout);
    CHECK_THROWS_AS(late.result(0s), futures::TimeoutError);
    CHECK(other.result(0s) == 2);
}

TEST_CASE("pebble::process_pool::timeout_callback: once, with the error") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::atomic<int> calls{0};
    std::atomic<int> right{0};
    const auto late = pool.submit({.timeout = 50ms}, never_end);
    late.add_done_callback([&](const Future<int>& done) {
        ++calls;
        try {
            done.result(0s);
        } catch (const TaskTimeout&) {
            right += done.running() ? 0 : 1;
        }
    });
    CHECK_THROWS_AS(late.result(60s), TaskTimeout);
    pool.shutdown();
    CHECK(calls == 1);
    CHECK(right == 1);
}

TEST_CASE(
    "pebble::process_pool::stop_timeout: its worker is replaced, and the queue goes on"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto before = pool.submit(pid);
    const auto late = pool.submit({.timeout = 50ms}, never_end);
    const auto after = pool.submit(pid);
    CHECK_THROWS_AS(late.result(60s), TaskTimeout);
    CHECK(after.result(60s) != before.result(60s));
    CHECK(gone_within({before.result()}, 1s));
}

TEST_CASE("pebble::process_pool::ignoring_sigterm: it ends all the same") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto late = pool.submit({.timeout = 50ms}, never_end_and_ignore_sigterm);
    CHECK_THROWS_AS(late.result(60s), TaskTimeout);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("mpire::pool::apply.second_raises.timeout: the first one is not touched by it"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    const auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 42);
    REQUIRE(bell.wait_for(1));
    const auto second = pool.submit({.timeout = 10ms}, never_end);
    CHECK_THROWS_AS(second.result(60s), TaskTimeout);
    CHECK_FALSE(first.done());
    gate.open(1);
    CHECK(first.result(60s) == 42);
}

TEST_CASE("mpire::pool::timeout.many_applies: several at the same time, each its own") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 3));
    std::vector<Future<int>> all;
    for (int i = 0; i < 6; ++i) {
        all.push_back(pool.submit({.timeout = 1s}, end_or_not, i));
    }
    for (int i = 0; i < 6; ++i) {
        const auto& future = all[static_cast<std::size_t>(i)];
        if (i % 2 == 0) {
            CHECK(future.result(60s) == i);
        } else {
            CHECK_THROWS_AS(future.result(60s), TaskTimeout);
        }
    }
}

TEST_CASE(
    "pebble::process_pool_source::queue_wait_not_counted "
    "billiard::pool_source::limits_start_at_accept: a task's limit begins with the "
    "task, not in the queue"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const Gate bell;
    const Gate gate;
    const auto busy = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    std::vector<Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit({.timeout = 1s}, compute_for, 100));
    }
    CHECK_THROWS_AS(all[0].result(1100ms), futures::TimeoutError);
    gate.open(1);
    for (const auto& future : all) {
        CHECK(future.result(60s) == 100);
    }
    CHECK(busy.result(60s) == 1);
}

TEST_CASE(
    "billiard::pool_tests::timeout_handler_copies_cache: limits pass while tasks come "
    "and go"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    pool.submit(inc, 0).result(60s);
    std::atomic<int> wrong{0};
    std::thread others([&] {
        for (int i = 0; i < 2000; ++i) {
            const auto limited = pool.submit({.timeout = 60s}, inc, i);
            const auto cancelled = pool.submit({.timeout = 60s}, inc, i);
            cancelled.cancel();
            wrong += limited.result(60s) == i + 1 ? 0 : 1;
        }
    });
    for (int i = 0; i < 10; ++i) {
        CHECK_THROWS_AS(
            pool.submit({.timeout = 5ms}, never_end).result(60s), TaskTimeout
        );
    }
    others.join();
    CHECK(wrong == 0);
}

TEST_CASE(
    "dask::test_failed_workers::hung_worker: one that is stopped is ended, and work "
    "goes on"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto hung = pool.submit({.timeout = 50ms}, stop_this_process);
    CHECK_THROWS_AS(hung.result(60s), TaskTimeout);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

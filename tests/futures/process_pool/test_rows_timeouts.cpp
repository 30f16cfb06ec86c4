// SPDX-License-Identifier: BSL-1.0
// Tasks that run longer than they may: behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/wait.hpp"
#include "mp/queue.hpp"

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
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
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

int end_when_asked(int x) {
    while (!futures::this_task().stop_requested()) {
        std::this_thread::yield();
    }
    return x;
}

pid_t pid_unless_six(int x) {
    return x == 6 ? never_end() : getpid();
}

/// Makes its worker the leader of a group, with a child in it, and one that has left
/// it.
int lead_a_group(mp::Queue<int> told) {
    setpgid(0, 0);
    for (const bool leaves : {false, true}) {
        if (fork() == 0) {
            if (leaves) {
                setsid();
            }
            signal(SIGTERM, SIG_IGN);
            told.put(static_cast<int>(getpid()));
            test::block_until_killed();
        }
    }
    told.put(static_cast<int>(getpid()));
    test::block_until_killed();
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

TEST_CASE(
    "billiard::pool_source::group_kill: the limit ends the group that the worker "
    "leads, "
    "and who has left it",
    "[no-tsan]"
) {
    mp::Queue<int> told;
    auto options = on(each_pool_start_method(), 1);
    options.shared = {told};
    ProcessPoolExecutor pool(std::move(options));
    const auto late = pool.submit({.timeout = 2s}, lead_a_group, told);
    std::vector<pid_t> family;
    for (int i = 0; i < 3; ++i) {
        family.push_back(told.get(60s));
    }
    CHECK_THROWS_AS(late.result(60s), TaskTimeout);
    CHECK(gone_within(family, 1s));
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "billiard::pool_source::per_task_overrides_pool: a task has the pool's limit, or "
    "its own"
) {
    auto options = on(each_pool_start_method(), 2);
    options.task_timeout = 300ms;
    ProcessPoolExecutor pool(options);
    const auto of_pool = pool.submit(never_end);
    const auto shorter = pool.submit({.timeout = 20ms}, never_end);
    const auto longer = pool.submit({.timeout = 60s}, compute_for, 400);
    const auto later = pool.submit({.after = {longer}}, never_end);
    const auto with_future = pool.submit(end_or_not, pool.submit(inc, 0));
    CHECK_THROWS_WITH(of_pool.result(60s), test::ContainsSubstring("limit of 0.3 s"));
    CHECK_THROWS_WITH(shorter.result(60s), test::ContainsSubstring("limit of 0.02 s"));
    CHECK(longer.result(60s) == 400);
    CHECK_THROWS_AS(later.result(60s), TaskTimeout);
    CHECK_THROWS_AS(with_future.result(60s), TaskTimeout);
}

TEST_CASE("A pool's limit has a grace, and is that of each item of a map") {
    auto options = on(each_pool_start_method(), 1);
    options.task_timeout = 400ms;
    {
        ProcessPoolExecutor pool(options);
        auto results = pool.map({.chunksize = 4}, end_or_not, {0, 1, 2});
        auto it = results.begin();
        CHECK(*it == 0);
        ++it;
        CHECK_THROWS_AS(*it, TaskTimeout);
        ++it;
        CHECK(*it == 2);
    }
    options.task_grace = 60s;
    {
        ProcessPoolExecutor patient(options);
        CHECK(patient.submit(end_when_asked, 5).result(60s) == 5);
        // Who says a limit says its grace, too.
        CHECK_THROWS_AS(
            patient.submit({.timeout = 20ms}, never_end).result(60s), TaskTimeout
        );
    }
    options.task_timeout = 0s;
    CHECK_THROWS_AS(ProcessPoolExecutor(options), std::invalid_argument);
}

TEST_CASE(
    "pebble::process_pool::map_timeout_chunks: the limit is one of each item, not of "
    "their sum"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto all = pool.map(
                             {.chunksize = 5, .task_timeout = 1800ms},
                             compute_for,
                             std::vector(20, 100)
    )
                         .to_vector();
    CHECK(all == std::vector(20, 100));
}

TEST_CASE(
    "pebble::process_pool::map_chunk_timeout_loses_chunk: what was done before it and "
    "what comes behind it have their results"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::vector<int> inputs{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    auto results =
        pool.map({.chunksize = 10, .task_timeout = 600ms}, pid_unless_six, inputs);
    std::vector<pid_t> pids;
    auto it = results.begin();
    for (int i = 0; i < 10; ++i, ++it) {
        if (i == 6) {
            CHECK_THROWS_AS(*it, TaskTimeout);
        } else {
            pids.push_back(*it);
        }
    }
    CHECK(std::vector(pids.begin(), pids.begin() + 6) == std::vector(6, pids[0]));
    CHECK(std::vector(pids.begin() + 6, pids.end()) == std::vector(3, pids[6]));
    CHECK(pids[6] != pids[0]);
}

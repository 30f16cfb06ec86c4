// SPDX-License-Identifier: BSL-1.0
// Workers that are replaced after a number of tasks, by the rows of CPython's tests.
#include "futures/process_pool.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::StartMethod;
using test::Gate;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::expect_broken;
using test::tasks::fail;
using test::tasks::multiply;
using test::tasks::pid;
using test::tasks::ring_and_pass;

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_per_child: the fourth task has another "
    "process",
    "[ported]"
) {
    ProcessPoolOptions refused = on(mp::get_context(StartMethod::fork), 1);
    refused.max_tasks_per_child = 3;
    CHECK_THROWS_AS(ProcessPoolExecutor(refused), std::invalid_argument);

    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 3;
    ProcessPoolExecutor pool(options);
    const pid_t first = pool.submit(pid).result();
    CHECK(pool.submit(pid).result() == first);
    CHECK(pool.submit(pid).result() == first);
    const pid_t second = pool.submit(pid).result();
    CHECK(second != first);
    CHECK(pool.workers() == std::vector{second});
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context: it "
    "does",
    "[ported]"
) {
    ProcessPoolExecutor pool({.max_workers = 1, .max_tasks_per_child = 3});
    const auto name = pool.submit([] { return mp::current_process().name(); }).result();
    CHECK_THAT(name, test::StartsWith("SpawnProcess"));
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_per_child_pending_tasks_gh115634: a "
    "backlog is "
    "worked off",
    "[ported]"
) {
    const auto [workers, tasks, jobs] =
        GENERATE(std::tuple(1, 2, 6), std::tuple(2, 2, 8));
    ProcessPoolOptions options = on(mp::get_context(StartMethod::forkserver), workers);
    options.max_tasks_per_child = tasks;
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> all;
    for (int i = 0; i < jobs; ++i) {
        all.push_back(pool.submit(multiply, i, 1));
    }
    for (int i = 0; i < jobs; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i);
    }
    CHECK(pool.statistics().workers_started >= static_cast<unsigned>(jobs / tasks));
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_shutdown_no_wait_max_tasks_gh119592: the rest is "
    "done",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 1;
    std::vector<Future<int>> all;
    {
        ProcessPoolExecutor pool(options);
        for (int i = 0; i < 4; ++i) {
            all.push_back(pool.submit(multiply, i, 2));
        }
        pool.shutdown({.wait = false});
    }
    for (int i = 0; i < 4; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(0s) == 2 * i);
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_gc_during_max_tasks_worker_exit_gh152967: no future "
    "stays pending when the executor goes",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 1;
    std::vector<Future<int>> all;
    {
        ProcessPoolExecutor pool(options);
        for (int i = 0; i < 3; ++i) {
            all.push_back(pool.submit(multiply, i, 2));
        }
        all[0].result();
    }
    for (const auto& future : all) {
        CHECK(future.done());
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_during_max_tasks_worker_exit: no "
    "replacement is started",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolOptions options = on(mp::get_context(StartMethod::forkserver), 1);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    const Gate bell;
    const Gate gate;
    auto running = pool.submit(ring_and_pass, bell.path(), gate.path(), 7);
    auto queued = pool.submit(multiply, 1, 1);
    REQUIRE(bell.wait_for(1));
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    expect_broken(running, "forcefully shut down");
    expect_broken(queued, "forcefully shut down");
    pool.shutdown();
    CHECK(pool.statistics().workers_started == 1);
    CHECK(pool.workers().empty());
}

// Not under a sanitizer: it looks at memory through a pipe, for which no number is
// left.
TEST_CASE(
    "ProcessPoolExecutorTest.test_failed_worker_replacement_breaks_pool: nothing is "
    "left "
    "pending",
    "[ported][no-asan]"
) {
    ProcessPoolOptions options = on(mp::get_context(StartMethod::spawn), 1);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    const Gate bell;
    const Gate gate;
    auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 7);
    auto second = pool.submit(multiply, 1, 1);
    REQUIRE(bell.wait_for(1));
    // From now on no process can be started: there is no descriptor left for it.
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    none.rlim_cur = 4;
    setrlimit(RLIMIT_NOFILE, &none);
    const char byte = 'x';
    const int fd = ::dup(0);
    static_cast<void>(fd);
    gate.open(1);
    static_cast<void>(byte);
    const auto error = second.exception(60s);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(first.result() == 7);
    REQUIRE(error);
    expect_broken(second, "could be started");
    CHECK_THROWS_AS(pool.submit(multiply, 1, 1), BrokenProcessPool);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_early_shutdown: all results arrive",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 3);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> all;
    for (int i = 0; i < 6; ++i) {
        all.push_back(pool.submit(multiply, i, i));
    }
    pool.shutdown();
    for (int i = 0; i < 6; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(0s) == i * i);
    }
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_shutdown_gh_132969_case_1: a failing last task is no "
    "trouble",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 2);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    auto one = pool.submit(pid);
    auto two = pool.submit(fail);
    auto three = pool.submit(pid);
    pool.shutdown({.wait = false});
    CHECK(one.result(60s) > 0);
    CHECK_THROWS_WITH(two.result(60s), "failed on purpose");
    CHECK(three.result(60s) > 0);
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_shutdown_gh_132969_case_2: with more workers than "
    "tasks",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 4);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    auto one = pool.submit(pid);
    auto two = pool.submit(fail);
    auto three = pool.submit(pid);
    pool.shutdown({.wait = false});
    CHECK(one.result(60s) > 0);
    CHECK_THROWS_WITH(two.result(60s), "failed on purpose");
    CHECK(three.result(60s) > 0);
}

// SPDX-License-Identifier: BSL-1.0
// How a ProcessPoolExecutor ends, in good order and by force, by the rows of CPython's
// tests.
#include "futures/process_pool.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ProcessPoolExecutor;
using mp::Context;
using mp::StartMethod;
using test::Gate;
using test::on;
using test::tasks::exit_now;
using test::tasks::expect_broken;
using test::tasks::expect_gone;
using test::tasks::multiply;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

void ring_twice_around(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    test::ring(bell);
}

}  // namespace

TEST_CASE(
    "ProcessPoolExecutorTest.test_terminate_workers: ends by SIGTERM", "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    auto running = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    const auto pids = pool.workers();
    pool.terminate_workers();
    expect_broken(running, "forcefully");
    pool.shutdown();
    expect_gone(pids);
}

TEST_CASE("ProcessPoolExecutorTest.test_kill_workers: ends by SIGKILL", "[ported]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    auto running = pool.submit(
        [](const std::string& to_ring, const std::string& to_pass) {
            signal(SIGTERM, SIG_IGN);
            ring_and_pass(to_ring, to_pass, 0);
        },
        bell.path(),
        gate.path()
    );
    REQUIRE(bell.wait_for(1));
    const auto pids = pool.workers();
    pool.kill_workers();
    expect_broken(running, "forcefully");
    pool.shutdown();
    expect_gone(pids);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers: a task that waits for ever "
    "ends",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(on(mp::get_context(StartMethod::forkserver), 1));
    const Gate bell;
    const Gate gate;
    auto future = pool.submit(ring_twice_around, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto child = mp::active_children().at(0);
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    CHECK(child.join(30s));
    CHECK(child.exitcode() == (terminate ? -SIGTERM : -SIGKILL));
    expect_broken(future, "forcefully");
    gate.open(1);
    pool.shutdown();
    // Nobody is left to ring a second time.
    pollfd poller{::open(bell.path().c_str(), O_RDONLY | O_CLOEXEC), POLLIN, 0};
    CHECK(::poll(&poller, 1, 0) == 0);
    ::close(poller.fd);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers_dead_workers: raises nothing",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(on(mp::get_context(StartMethod::forkserver), 1));
    expect_broken(pool.submit(exit_now, 1), "code 1");
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers_not_started_yet: signals "
    "nobody",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(1);
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    CHECK(pool.workers().empty());
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers_stops_pool: submit is refused",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(on(mp::get_context(StartMethod::forkserver), 1));
    const pid_t worker = pool.submit(pid).result();
    const auto child = mp::active_children().at(0);
    REQUIRE(child.pid() == worker);
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    CHECK_THROWS_AS(pool.submit(pid), mp::StateError);
    CHECK(child.join(30s));
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_processes_terminate: as many as needed, then none",
    "[ported]"
) {
    const Context context = each_pool_start_method();
    constexpr std::size_t max_workers = 4;
    ProcessPoolExecutor pool(on(context, max_workers));
    const Gate bell;
    const Gate gate;
    for (int i = 0; i < 3; ++i) {
        pool.submit(ring_and_pass, bell.path(), gate.path(), i);
    }
    REQUIRE(bell.wait_for(3));
    const auto pids = pool.workers();
    CHECK(
        pids.size() ==
        (context.get_start_method() == StartMethod::fork ? max_workers : 3)
    );
    gate.open(3);
    pool.shutdown();
    expect_gone(pids);
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_context_manager_shutdown: the scope waits", "[ported]"
) {
    std::vector<pid_t> pids;
    const std::vector<int> numbers{-1, 2, -3, 4};
    std::vector<int> results;
    {
        ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
        for (const int x : pool.map(multiply, numbers, numbers)) {
            results.push_back(x);
        }
        pids = pool.workers();
    }
    CHECK(results == std::vector{1, 4, 9, 16});
    expect_gone(pids);
}

TEST_CASE("ProcessPoolShutdownTest.test_del_shutdown: results complete", "[ported]") {
    const std::vector<int> numbers{-1, 2, -3, 4};
    std::optional<futures::MapResults<int>> results;
    std::vector<pid_t> pids;
    {
        ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
        results.emplace(pool.map(multiply, numbers, numbers));
        pids = pool.workers();
    }
    std::vector<int> values;
    for (const int x : *results) {
        values.push_back(x);
    }
    CHECK(values == std::vector{1, 4, 9, 16});
    expect_gone(pids);
}

TEST_CASE("ProcessPoolShutdownTest.test_shutdown_no_wait: ends by itself", "[ported]") {
    const std::vector<int> numbers{-1, 2, -3, 4};
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    auto results = pool.map(multiply, numbers, numbers);
    pool.shutdown({.wait = false});
    std::vector<int> values;
    for (const int x : results) {
        values.push_back(x);
    }
    CHECK(values == std::vector{1, 4, 9, 16});
    for (const auto& child : mp::active_children()) {
        CHECK(child.join(30s));
    }
}

TEST_CASE(
    "ExecutorShutdownTest.test_cancel_futures, process pool: most are cancelled, none "
    "stays "
    "pending",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> all;
    for (int i = 0; i < 50; ++i) {
        all.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), i));
    }
    REQUIRE(bell.wait_for(1));
    gate.open(50);
    pool.shutdown({.cancel_futures = true});
    std::size_t cancelled = 0;
    for (const auto& future : all) {
        REQUIRE(future.done());
        cancelled += future.cancelled();
    }
    CHECK(cancelled < 50);
}

TEST_CASE(
    "ExecutorShutdownTest.test_hang_gh94440, process pool: submit, cancel, shutdown",
    "[ported]"
) {
    const Context context = each_pool_start_method();
    // In a process of its own, which can be given up.
    mp::Process child(
        {.start_method = StartMethod::fork},
        [](StartMethod inner) {
            ProcessPoolExecutor pool(on(mp::get_context(inner), 1));
            pool.submit(pid).result();
            const auto last = pool.submit(pid);
            last.cancel();
            pool.shutdown();
            throw mp::SystemExit(last.done() ? 0 : 1);
        },
        context.get_start_method()
    );
    child.start();
    if (!child.join(30s)) {
        child.kill();
        child.join();
    }
    CHECK(child.exitcode().value_or(-1000) == 0);
}

TEST_CASE(
    "ExecutorShutdownTest.test_interpreter_shutdown, process pool: exit waits for the "
    "work",
    "[ported]"
) {
    const Context context = each_pool_start_method();
    const Gate bell;
    mp::Process child(
        {.start_method = StartMethod::fork},
        [](const std::string& path, StartMethod inner) {
            auto* const pool = new ProcessPoolExecutor(on(mp::get_context(inner), 2));
            pool->submit(test::ring, path);
            pool->submit(test::ring, path);
        },
        bell.path(),
        context.get_start_method()
    );
    child.start();
    child.join();
    CHECK(child.exitcode().value_or(-1000) == 0);
    CHECK(bell.wait_for(2));
}

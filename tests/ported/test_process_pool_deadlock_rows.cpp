// SPDX-License-Identifier: BSL-1.0
// The behaviours that CPython's tests of executors' deadlocks and initializers check,
// by their ids: arguments and results that misbehave on either side, under every start
// method.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::Context;
using mp::SerializationError;
using mp::SerializationPhase;
using test::Gate;
using test::inc;
using test::on;
using test::rows::commit;
using test::rows::commit_in_task;
using test::rows::Deed;
using test::rows::give;
using test::rows::Misbehaving;
using test::rows::take;

namespace {

void crash_after(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    _exit(1);
}

std::size_t crash_with(const std::vector<char>& data) {
    commit(Deed::crash);
    return data.size();
}

int initialised = 0;

void initialise(int value) {
    initialised = value;
}

int get_initialised() {
    return initialised;
}

void fail_to_initialise() {
    throw std::domain_error("no such luck");
}

/// The future fails with SerializationError{phase}, whose cause is what was thrown; the
/// pool goes on.
template <class T>
void expect_only_it_fails(
    ProcessPoolExecutor& pool, const Future<T>& future, SerializationPhase phase
) {
    try {
        future.result(60s);
        FAIL_CHECK("no exception");
    } catch (const SerializationError& error) {
        CHECK(error.phase == phase);
        CHECK_THAT(error.what(), test::ContainsSubstring("misbehaved"));
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

template <class T>
void expect_broken(const Future<T>& future) {
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
}

}  // namespace

TEST_CASE(
    "ExecutorDeadlockTest.test_error_at_task_pickle: only that future fails", "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future =
        pool.submit(take, Misbehaving{.when_written = Deed::throw_error});
    expect_only_it_fails(pool, future, SerializationPhase::encode_task);
    try {
        future.result();
    } catch (const SerializationError& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), std::domain_error);
    }
}

TEST_CASE(
    "ExecutorDeadlockTest.test_exit_at_task_unpickle: breaks the pool", "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    expect_broken(pool.submit(take, Misbehaving{.when_read = Deed::exit_at_once}));
}

TEST_CASE(
    "ExecutorDeadlockTest.test_error_at_task_unpickle: only that future fails",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future = pool.submit(take, Misbehaving{.when_read = Deed::throw_error});
    expect_only_it_fails(pool, future, SerializationPhase::decode_task);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_crash_at_task_unpickle: breaks the pool", "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    expect_broken(pool.submit(take, Misbehaving{.when_read = Deed::crash}));
}

TEST_CASE(
    "ExecutorDeadlockTest.test_crash_during_func_exec_on_worker: breaks the pool",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    expect_broken(pool.submit(commit_in_task, Deed::crash));
}

TEST_CASE(
    "ExecutorDeadlockTest.test_exit_during_func_exec_on_worker: SystemExit reaches the "
    "future, exit() breaks the pool",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    CHECK_THROWS_AS(
        pool.submit(commit_in_task, Deed::throw_exit).result(60s), mp::SystemExit
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    expect_broken(pool.submit(commit_in_task, Deed::exit_at_once));
}

TEST_CASE(
    "ExecutorDeadlockTest.test_error_during_func_exec_on_worker: that exception",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    CHECK_THROWS_AS(
        pool.submit(commit_in_task, Deed::throw_error).result(60s), std::domain_error
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_crash_during_result_pickle_on_worker: breaks the pool",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    expect_broken(pool.submit(give, Deed::crash, Deed::none));
}

TEST_CASE(
    "ExecutorDeadlockTest.test_exit_during_result_pickle_on_worker: SystemExit reaches "
    "the "
    "future",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future = pool.submit(give, Deed::throw_exit, Deed::none);
    CHECK_THROWS_AS(future.result(60s), mp::SystemExit);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_error_during_result_pickle_on_worker: only that future "
    "fails",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future = pool.submit(give, Deed::throw_error, Deed::none);
    expect_only_it_fails(pool, future, SerializationPhase::encode_result);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler: only "
    "that "
    "future fails",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future = pool.submit(give, Deed::none, Deed::throw_error);
    expect_only_it_fails(pool, future, SerializationPhase::decode_result);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler: an "
    "exception "
    "that is no std::exception reaches the future",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future = pool.submit(give, Deed::none, Deed::throw_exit);
    CHECK_THROWS_AS(future.result(60s), mp::SystemExit);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_shutdown_deadlock: a crash during shutdown does not "
    "hang",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    const auto future = pool.submit(crash_after, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    std::thread shutting_down([&] { pool.shutdown(); });
    gate.open(1);
    shutting_down.join();
    expect_broken(future);
}

TEST_CASE(
    "ExecutorDeadlockTest.test_shutdown_deadlock_pickle: a task that cannot be encoded "
    "does "
    "not keep the pool",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    pool.submit(inc, 1).result(60s);
    const auto future =
        pool.submit(take, Misbehaving{.when_written = Deed::throw_error});
    pool.shutdown({.wait = false});
    CHECK_THROWS_AS(future.result(60s), SerializationError);
    pool.shutdown();
}

TEST_CASE(
    "ExecutorDeadlockTest.test_crash_big_data: large arguments under way do not block",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<Future<std::size_t>> all;
    try {
        for (int i = 0; i < 10; ++i) {
            all.push_back(pool.submit(crash_with, std::vector<char>(1'000'000)));
        }
    } catch (const BrokenProcessPool&) {
        CHECK(!all.empty());  // the first one was quick
    }
    for (const auto& future : all) {
        expect_broken(future);
    }
    pool.shutdown();
}

TEST_CASE(
    "ExecutorDeadlockTest.test_gh105829_should_not_deadlock_if_wakeup_pipe_full: a "
    "hundred "
    "tasks while the manager is held up",
    "[ported]"
) {
    const Gate gate;  // the callback may be in it until the pool has ended
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const Gate first;
    const auto held = pool.submit(test::pass, first.path());
    held.add_done_callback([&](const auto&) {
        test::ring(bell.path());
        test::pass(gate.path());
    });
    first.open(1);
    REQUIRE(bell.wait_for(1));
    std::vector<Future<int>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    gate.open(1);
    for (int i = 0; i < 100; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
}

TEST_CASE(
    "InitializerMixin.test_initializer, process pool: it ran before the first task",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_pool_start_method(), 2);
    options.initializer = mp::call(initialise, 17);
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit(get_initialised));
    }
    for (const auto& future : all) {
        CHECK(future.result(60s) == 17);
    }
}

TEST_CASE(
    "FailingInitializerMixin.test_initializer, process pool: breaks it, with the cause",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_pool_start_method(), 2);
    options.initializer = mp::call(fail_to_initialise);
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> all;
    try {
        for (int i = 0; i < 10; ++i) {
            all.push_back(pool.submit(inc, i));
        }
    } catch (const BrokenProcessPool&) {
        CHECK(!all.empty());
    }
    for (const auto& future : all) {
        try {
            future.result(60s);
            FAIL_CHECK("no exception");
        } catch (const BrokenProcessPool& error) {
            CHECK_THAT(error.what(), test::ContainsSubstring("no such luck"));
            CHECK_THROWS_AS(std::rethrow_if_nested(error), std::domain_error);
        }
    }
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
}

TEST_CASE(
    "FailingInitializerResourcesTest.test_spawn: nothing is left behind", "[ported]"
) {
    ProcessPoolOptions options = on(mp::get_context("spawn"), 2);
    options.initializer = mp::call(fail_to_initialise);
    ProcessPoolExecutor pool(options);
    expect_broken(pool.submit(inc, 1));
    // The leak listener looks for processes, descriptors and names.
}

TEST_CASE(
    "FailingInitializerResourcesTest.test_forkserver: nothing is left behind",
    "[ported]"
) {
    ProcessPoolOptions options = on(mp::get_context("forkserver"), 2);
    options.initializer = mp::call(fail_to_initialise);
    ProcessPoolExecutor pool(options);
    expect_broken(pool.submit(inc, 1));
}

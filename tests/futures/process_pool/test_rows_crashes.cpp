// SPDX-License-Identifier: BSL-1.0
// Tasks that end their worker as they are read, run, or write their result: behaviours
// of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::SerializationPhase;
using test::inc;
using test::on;
using test::rows::commit_in_task;
using test::rows::Deed;
using test::rows::expect_lost;
using test::rows::expect_unserialised;
using test::rows::give;
using test::rows::Misbehaving;
using test::rows::take;
using test::tasks::pid;

TEST_CASE(
    "loky::reusable_executor::crashes.exit_at_encode_and_decode: an argument that is "
    "read with an error, an exit or a crash"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const pid_t before = pool.submit(pid).result(60s);
    expect_unserialised(
        pool.submit(take, Misbehaving{.when_read = Deed::throw_error}),
        SerializationPhase::decode_task
    );
    CHECK_THROWS_AS(
        pool.submit(take, Misbehaving{.when_read = Deed::throw_exit}).result(60s),
        mp::SystemExit
    );
    CHECK(pool.submit(pid).result(60s) == before);
    const auto exit = pool.submit(take, Misbehaving{.when_read = Deed::exit_process});
    CHECK(expect_lost(exit).report().exit_code == 0);
    const auto crash = pool.submit(take, Misbehaving{.when_read = Deed::crash});
    CHECK(expect_lost(crash).report().signal == SIGSEGV);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "loky::reusable_executor::crashes.in_run: a task that ends in one of four ways"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto crash = pool.submit(commit_in_task, Deed::crash);
    CHECK(expect_lost(crash).report().signal == SIGSEGV);
    CHECK_THROWS_AS(
        pool.submit(commit_in_task, Deed::throw_exit).result(60s), mp::SystemExit
    );
    const auto exit = pool.submit(commit_in_task, Deed::exit_process);
    CHECK(expect_lost(exit).report().exit_code == 0);
    CHECK_THROWS_WITH(
        pool.submit(commit_in_task, Deed::throw_error).result(60s), "misbehaved"
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "loky::reusable_executor::crashes.at_result_encode: a result that is written with "
    "an error, an exit or a crash"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto crash = pool.submit(give, Deed::crash, Deed::none);
    CHECK(expect_lost(crash).report().signal == SIGSEGV);
    CHECK_THROWS_AS(
        pool.submit(give, Deed::throw_exit, Deed::none).result(60s), mp::SystemExit
    );
    const auto exit = pool.submit(give, Deed::exit_process, Deed::none);
    CHECK(expect_lost(exit).report().exit_code == 0);
    expect_unserialised(
        pool.submit(give, Deed::throw_error, Deed::none),
        SerializationPhase::encode_result
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

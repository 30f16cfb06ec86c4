// SPDX-License-Identifier: BSL-1.0
// What a pool takes of the machine, and what it refuses to take: behaviours of other
// pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "mp/cpu_count.hpp"
#include "mp/errors.hpp"
#include "mp/semaphore.hpp"
#include "mp/units.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <sched.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::ResourceLimitExceeded;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::ring_and_pass;

namespace {

std::size_t size_of_text(const std::string& text) {
    return text.size();
}

std::string make_text(std::size_t size) {
    return std::string(size, 'x');
}

/// Ends when it is asked to, but not at once.
void hold_token(mp::Semaphore token, const std::string& bell, const std::string& gate) {
    token.acquire();
    test::ring(bell);
    while (!futures::this_task().stop_requested()) {
        std::this_thread::yield();
    }
    test::pass(gate);
    token.release();
}

void take_token(mp::Semaphore token) {
    token.acquire();
    token.release();
}

void expect_refused(const Future<std::size_t>& future) {
    CHECK_THROWS_AS(future.result(60s), ResourceLimitExceeded);
    CHECK_THROWS_WITH(
        future.result(60s),
        test::ContainsSubstring("not sent to a worker") &&
            test::ContainsSubstring("size_of_text") &&
            test::ContainsSubstring("limit of memory, 1 MiB")
    );
}

}  // namespace

TEST_CASE("loky::cpu_count::env_cap: a pool has that many workers by default") {
    setenv("LIBMP_MAX_CPU_COUNT", "1", 1);
    const auto workers = ProcessPoolExecutor().statistics().max_workers;
    setenv("LIBMP_MAX_CPU_COUNT", "100000", 1);
    const auto all = ProcessPoolExecutor().statistics().max_workers;
    unsetenv("LIBMP_MAX_CPU_COUNT");
    CHECK(workers == 1);
    CHECK(all == static_cast<std::size_t>(mp::usable_cpu_count()));
}

TEST_CASE(
    "dask::test_scheduler::resources_back_after_cancel: a token and a worker are free "
    "when the cancelled task has really ended"
) {
    const Gate bell;
    const Gate gate;
    mp::Semaphore token(1);
    auto options = on(each_pool_start_method(), 2);
    options.shared = {token};
    ProcessPoolExecutor pool(std::move(options));
    const auto holds =
        pool.submit({.grace = 60s}, hold_token, token, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto takes = pool.submit(take_token, token);
    CHECK(holds.cancel(futures::running));
    // It holds up the other worker, too: nobody is left.
    const auto behind = pool.submit(inc, 1);
    CHECK_THROWS_AS(takes.result(100ms), futures::TimeoutError);
    CHECK_FALSE(holds.done());
    CHECK_FALSE(behind.done());
    gate.open(1);
    CHECK_THROWS_AS(holds.result(60s), CancelledError);
    takes.result(60s);
    CHECK(behind.result(60s) == 2);
}

TEST_CASE(
    "dask::test_scheduler::refuse_huge_task: a call that is longer than its limit of "
    "memory is sent to no worker"
) {
    auto options = on(each_pool_start_method(), 1);
    const std::string text = make_text(2 * mp::MiB);
    SECTION("the pool's limit") {
        options.limits.memory = mp::MiB;
        ProcessPoolExecutor pool(options);
        expect_refused(pool.submit(size_of_text, text));
        expect_refused(pool.submit({.after = {pool.submit(inc, 1)}}, size_of_text, text)
        );
        const Future<std::string> later;
        const auto with_future = pool.submit(size_of_text, later);
        later.set_result(text);
        expect_refused(with_future);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
        CHECK(pool.statistics().workers_started == 1);
        CHECK(pool.statistics().tasks_lost == 0);
    }
    SECTION("the task's own") {
        ProcessPoolExecutor pool(options);
        int told = 0;
        const auto refused =
            pool.submit({.limits = {.memory = mp::MiB}}, size_of_text, text);
        refused.add_done_callback([&](const auto&) { ++told; });
        expect_refused(refused);
        CHECK(told == 1);
        CHECK(pool.submit(size_of_text, text).result(60s) == text.size());
        CHECK(
            pool.submit({.limits = {.cpu_time = 60s}}, size_of_text, text)
                .result(60s) == text.size()
        );
    }
}

// A sanitizer needs memory of its own.
TEST_CASE(
    "Many items that fit one by one travel in one chunk under a limit of memory",
    "[no-asan][no-tsan]"
) {
    auto options = on(each_pool_start_method(), 1);
    options.limits.memory = 40 * mp::MiB;
    ProcessPoolExecutor pool(options);
    const std::vector<std::string> texts(12, make_text(4 * mp::MiB));
    for (const std::size_t size : pool.map({.chunksize = 12}, size_of_text, texts)) {
        CHECK(size == 4 * mp::MiB);
    }
}

TEST_CASE(
    "ray::test_failure_2::infeasible: who asks for what the machine does not have is "
    "told at once"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.affinity = {CPU_SETSIZE - 1};
    CHECK_THROWS_WITH(
        ProcessPoolExecutor(options), test::ContainsSubstring("is not there")
    );
    CHECK_THROWS_AS(ProcessPoolExecutor(on(context, 100'000)), std::invalid_argument);
    ProcessPoolExecutor pool(on(context, 1));
    CHECK_THROWS_AS(pool.resize(100'000), std::invalid_argument);
    CHECK_THROWS_AS(
        pool.submit({.limits = {.memory = 0}}, inc, 1), std::invalid_argument
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

// SPDX-License-Identifier: BSL-1.0
// Workers that are used again, replaced after a number of tasks, and given what there
// is to do: behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "mp/value.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

void count_one_more(mp::Value<int> count) {
    const std::scoped_lock held(count);
    count.set(count.get() + 1);
}

std::vector<int> ten_numbers() {
    std::vector<int> numbers(10);
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

}  // namespace

TEST_CASE("pebble::process_pool::future_limit: two tasks a worker, four tasks, two pids"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 2;
    ProcessPoolExecutor pool(options);
    std::vector<pid_t> pids;
    for (int i = 0; i < 4; ++i) {
        pids.push_back(pool.submit(pid).result(60s));
    }
    CHECK(pids[0] == pids[1]);
    CHECK(pids[1] != pids[2]);
    CHECK(pids[2] == pids[3]);
}

TEST_CASE("mpire::pool::keep_alive.on: several maps, the same workers") {
    const auto context = each_pool_start_method();
    for (const int workers : {1, 3}) {
        const mp::Value<int> count(0);
        ProcessPoolOptions options = on(context, workers);
        options.initializer = mp::call(count_one_more, count);
        {
            ProcessPoolExecutor pool(options);
            for (int round = 0; round < 3; ++round) {
                CHECK(pool.map(inc, ten_numbers()).to_vector().size() == 10);
            }
            CHECK(
                pool.map({.buffersize = 2}, inc, ten_numbers()).to_vector().size() == 10
            );
            CHECK(pool.statistics().workers_started <= static_cast<unsigned>(workers));
        }
        CHECK(count.get() >= 1);
        CHECK(count.get() <= workers);
    }
}

TEST_CASE(
    "mpire::comms::task_to_last_finisher: no worker is idle while there is something "
    "to do"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    // One worker is held up; the other one has all the rest, whatever their number.
    const auto held = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    std::vector<Future<int>> rest;
    for (int i = 0; i < 200; ++i) {
        rest.push_back(pool.submit(inc, i));
    }
    for (int i = 0; i < 200; ++i) {
        CHECK(rest[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    CHECK_FALSE(held.done());
    // And two at once when there is something for both.
    const auto other = pool.submit(ring_and_pass, bell.path(), gate.path(), 2);
    REQUIRE(bell.wait_for(1));
    gate.open(2);
    CHECK(held.result(60s) == 1);
    CHECK(other.result(60s) == 2);
}

TEST_CASE(
    "loky::reusable_executor::kill_on_new_options: a pool that takes the place of one "
    "with an endless task"
) {
    const auto context = each_pool_start_method();
    const Gate bell;
    const Gate gate;
    std::optional<ProcessPoolExecutor> pool(std::in_place, on(context, 1));
    const auto endless = pool->submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    pool->kill_workers();
    pool.emplace(on(context, 2));
    CHECK_THROWS_AS(endless.result(60s), BrokenProcessPool);
    CHECK(pool->submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "loky::reusable_executor::submit_during_replacement: who has a pool can use it "
    "while others go on to the next"
) {
    const auto context = each_pool_start_method();
    auto current = std::make_shared<ProcessPoolExecutor>(on(context, 1));
    for (int round = 0; round < 5; ++round) {
        const auto kept = current;
        current->submit(inc, 0).result(60s);
        std::thread replacing([&, context] {
            current = std::make_shared<ProcessPoolExecutor>(on(context, 2));
        });
        CHECK(kept->submit(inc, round).result(60s) == round + 1);
        replacing.join();
        CHECK(current->submit(inc, round).result(60s) == round + 1);
    }
}

TEST_CASE(
    "billiard::pool_tests::ready_counter: a worker that ends has had its results taken"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    for (int i = 0; i < 5; ++i) {
        // Nobody waits for this one before its worker has gone.
        const auto first = pool.submit(inc, i);
        const auto second = pool.submit(inc, i);
        CHECK(second.result(60s) == i + 1);
        CHECK(first.done());
        CHECK(first.result(0s) == i + 1);
    }
}

TEST_CASE(
    "billiard::pool_source::recycle_status: a worker that has done its tasks is no loss"
) {
    ProcessPoolOptions options =
        on(each_replacing_method(), 2, futures::OnWorkerLoss::isolate);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    CHECK(pool.map(inc, ten_numbers()).to_vector().size() == 10);
    pool.shutdown();
    CHECK(pool.statistics().workers_started >= 10);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE("mpire::pool::in_thread: made, used and left in another thread") {
    const auto context = each_pool_start_method();
    int sum = 0;
    std::thread thread([&] {
        ProcessPoolExecutor pool(on(context, 2));
        for (const int result : pool.map(inc, ten_numbers())) {
            sum += result;
        }
    });
    thread.join();
    CHECK(sum == 55);
}

// SPDX-License-Identifier: BSL-1.0
// this_task(): what a task of either pool knows of itself.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::ProcessPoolExecutor;
using futures::this_task;
using futures::ThreadPoolExecutor;
using test::on;

namespace {

std::string told() {
    const auto task = this_task();
    return task.name() + " " + std::to_string(task.attempt()) +
           (task.deadline().is_forever() ? " for ever " : " limited ") +
           std::to_string(task.worker_index()) + (task.stop_requested() ? " stop" : "");
}

int two(int x) {
    return this_task().name().find("two(int)") != std::string::npos ? 2 * x : 0;
}

bool refused() {
    try {
        this_task();
        return false;
    } catch (const mp::StateError&) {
        return true;
    }
}

int die_first() {
    const auto attempt = this_task().attempt();
    if (attempt == 1) {
        ::raise(SIGKILL);
    }
    return static_cast<int>(attempt);
}

int refused_elsewhere() {
    bool in_thread = false;
    std::thread([&] { in_thread = refused(); }).join();
    const bool in_child = test::run_in_fork([] { return refused() ? 0 : 1; }) == 0;
    return (in_thread ? 1 : 0) + (in_child ? 2 : 0) + (refused() ? 0 : 4);
}

/// What a child that the task forks learns of it by an object that it has kept.
int kept_in_a_child(bool after_a_token) {
    const auto task = this_task();
    if (after_a_token && task.stop_token().stop_requested()) {
        return -1;
    }
    return test::run_in_fork([&] {
        task.check_cancelled();
        try {
            task.stop_token();
            return 1;
        } catch (const mp::StateError&) {
            return task.stop_requested() ? 2 : 0;
        }
    });
}

}  // namespace

TEST_CASE("this_task() in a worker tells of the task", "[this_task]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    CHECK_THAT(
        pool.submit(told).result(),
        test::ContainsSubstring("told") && test::ContainsSubstring(" 1 for ever 0")
    );
    CHECK(
        pool.submit({.timeout = 60s, .name = "resize cat.png"}, told).result() ==
        "resize cat.png 1 limited 0"
    );
    const std::string long_name(5000, 'n');
    CHECK(
        pool.submit({.name = long_name}, told).result() == long_name + " 1 for ever 0"
    );
    CHECK_THROWS_AS(futures::this_task(), mp::StateError);
}

TEST_CASE("this_task() tells of the attempt", "[this_task]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1, futures::OnWorkerLoss::isolate));
    CHECK(pool.submit({.retries = 1}, die_first).result() == 2);
}

TEST_CASE("this_task() is for the task's own thread and process", "[this_task]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    CHECK(pool.submit(refused_elsewhere).result() == 7);
}

TEST_CASE("this_task() that was kept tells a forked child of no stop", "[this_task]") {
    const bool after_a_token = GENERATE(false, true);
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    CHECK(pool.submit(kept_in_a_child, after_a_token).result() == 0);
}

TEST_CASE("this_task() in a thread tells of the task", "[this_task]") {
    ThreadPoolExecutor threads(1);
    CHECK_THAT(
        threads.submit(told).result(),
        test::ContainsSubstring("told()") && test::ContainsSubstring(" 1 for ever 0")
    );
    CHECK(
        threads.submit({.timeout = 60s, .name = "n"}, told).result() == "n 1 limited 0"
    );
    CHECK(threads.submit(two, 4).result() == 8);
    CHECK_THROWS_AS(this_task(), mp::StateError);
    // Not in a callback.
    std::promise<bool> refused;
    threads.submit(told).add_done_callback([&](const auto&) {
        try {
            this_task();
            refused.set_value(false);
        } catch (const mp::StateError&) {
            refused.set_value(true);
        }
    });
    threads.shutdown();
    CHECK(refused.get_future().get());
}

TEST_CASE("Each thread's task has a worker of its own", "[this_task]") {
    ThreadPoolExecutor threads(3);
    std::atomic<int> here{0};
    std::vector<futures::Future<std::size_t>> all;
    for (int i = 0; i < 3; ++i) {
        all.push_back(threads.submit([&] {
            ++here;
            while (here < 3) {
                std::this_thread::yield();
            }
            return this_task().worker_index();
        }));
    }
    std::size_t sum = 0;
    for (const auto& future : all) {
        sum += 1U << future.result();
    }
    CHECK(sum == 7);
}

// SPDX-License-Identifier: BSL-1.0
// Tasks of a process pool that wait for more than one of the calls which they have
// submitted, or for what another thread makes of them.
#include "futures/futures.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <tuple>
#include <utility>
#include <vector>

using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::this_pool;
using futures::ThreadPoolExecutor;
using test::on;

namespace {

int leaves_of(int height) {
    if (height == 0) {
        return 1;
    }
    const auto both = futures::when_all(
        this_pool().submit(leaves_of, height - 1),
        this_pool().submit(leaves_of, height - 1)
    );
    const auto [left, right] = both.result();
    return left + right;
}

int leaves_in_turn(int height) {
    if (height == 0) {
        return 1;
    }
    std::vector<Future<int>> calls;
    for (int i = 0; i < 3; ++i) {
        calls.push_back(this_pool().submit(leaves_in_turn, height - 1));
    }
    int sum = 0;
    for (const auto& call : futures::as_completed(std::move(calls))) {
        sum += call.result();
    }
    return sum;
}

int nested_inc(int value) {
    return value + 1;
}

/// What it waits for is made by a thread, of a call of the pool.
int waits_for_a_thread() {
    ThreadPoolExecutor threads(1);
    const auto call = this_pool().submit(nested_inc, 1);
    const auto made =
        threads.submit({.after = {call}}, [call] { return call.result() * 10; });
    return made.result();
}

/// A callback asks for the other call while the task waits for it.
int asks_in_a_callback() {
    const auto first = this_pool().submit(nested_inc, 1);
    const auto second = this_pool().submit(nested_inc, 2);
    first.add_done_callback([second](const auto&) {
        static_cast<void>(second.running());
        second.cancel();
    });
    try {
        return second.result();
    } catch (const futures::CancelledError&) {
        return 3;
    }
}

int waits_in_a_callback() {
    const auto first = this_pool().submit(nested_inc, 1);
    const auto second = this_pool().submit(nested_inc, 2);
    const Future<int> told;
    first.add_done_callback([second, told](const auto&) {
        told.set_result(second.result());
    });
    second.result();
    return told.result();
}

}  // namespace

TEST_CASE("this_pool: trees of tasks that wait for several at once end") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int workers = GENERATE(1, 2, 8);
    ProcessPoolExecutor pool(on(quick_pool_context(), workers, loss));
    CHECK(pool.submit(leaves_of, 4).result() == 16);
    CHECK(pool.submit(leaves_in_turn, 3).result() == 27);
}

TEST_CASE("this_pool: a task may wait for what a thread makes of its calls") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int workers = GENERATE(1, 2);
    ProcessPoolExecutor pool(on(quick_pool_context(), workers, loss));
    for (int round = 0; round < 5; ++round) {
        CHECK(pool.submit(waits_for_a_thread).result() == 20);
        CHECK(pool.submit(asks_in_a_callback).result() == 3);
        CHECK(pool.submit(waits_in_a_callback).result() == 3);
    }
}

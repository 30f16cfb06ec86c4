// SPDX-License-Identifier: BSL-1.0
// Callbacks of futures of an MPIPoolExecutor: they run in the thread that takes the
// messages, which goes on with these while a callback waits.
#include "futures/mpi_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::MPIPoolExecutor;
using test::Gate;
using test::twice;

namespace {

int pass_and_double(const std::string& gate, int x) {
    test::pass(gate);
    return 2 * x;
}

}  // namespace

TEST_CASE("MPIPoolExecutor: a callback runs once, in the order of adding", "[mpi]") {
    const Gate gate;
    MPIPoolExecutor executor;
    const auto future = executor.submit(pass_and_double, gate.path(), 21);
    std::vector<int> order;
    for (int i = 0; i < 5; ++i) {
        future.add_done_callback([&, i](const Future<int>& done) {
            order.push_back(done.result() + i);
        });
    }
    gate.open(1);
    executor.shutdown();
    CHECK(order == std::vector{42, 43, 44, 45, 46});
    future.add_done_callback([&](const auto&) { order.clear(); });
    CHECK(order.empty());  // it was done: called here
}

TEST_CASE("MPIPoolExecutor: what a callback throws is logged", "[mpi]") {
    const test::LogCapture log;
    const Gate gate;
    MPIPoolExecutor executor;
    const auto future = executor.submit(pass_and_double, gate.path(), 21);
    std::atomic<bool> called{false};
    future.add_done_callback([](const auto&) {
        throw std::domain_error("no such luck");
    });
    future.add_done_callback([&](const auto&) { called = true; });
    gate.open(1);
    executor.shutdown();
    CHECK(called);
    CHECK(executor.statistics().concluded == 1);
    CHECK_THAT(log.text(), test::ContainsSubstring("no such luck"));
}

TEST_CASE("MPIPoolExecutor: a callback waits for other futures", "[mpi]") {
    auto options = test::each_isolation();
    const Gate gate;
    MPIPoolExecutor executor(options);
    MPIPoolExecutor other;
    std::vector<Future<int>> rest;
    const Future<int> sum;
    const auto first = executor.submit(pass_and_double, gate.path(), 1);
    first.add_done_callback([&](const auto&) {
        int all = 0;
        for (const auto& future : rest) {
            all += future.result(30s);  // submitted before
        }
        for (int i = 0; i < 10; ++i) {
            all += executor.submit(twice, i).result(30s);  // and now
            all += other.submit(twice, i).result(30s);
        }
        for (const int x : executor.map({.chunksize = 2}, twice, {1, 2, 3})) {
            all += x;
        }
        sum.set_result(all);
    });
    for (int i = 0; i < 10; ++i) {
        rest.push_back(executor.submit(twice, i));
    }
    gate.open(1);
    CHECK(sum.result(30s) == 90 + 90 + 90 + 12);
}

TEST_CASE("MPIPoolExecutor: callbacks that wait in callbacks", "[mpi]") {
    MPIPoolExecutor executor;
    const Future<int> bottom;
    std::atomic<int> depth{0};
    std::function<void(int)> descend = [&](int left) {
        const auto future = executor.submit(twice, left);
        const Future<int> below;
        future.add_done_callback([&, left](const auto&) {
            ++depth;
            if (left > 0) {
                descend(left - 1);
            }
            below.set_result(1);
        });
        below.result(30s);
    };
    executor.submit(twice, 0).add_done_callback([&](const auto&) {
        descend(10);
        bottom.set_result(1);
    });
    bottom.result(30s);
    CHECK(depth == 11);
}

TEST_CASE("MPIPoolExecutor: a callback may end its executor", "[mpi]") {
    const bool destroys = GENERATE(true, false);
    const Gate gate;
    auto executor = std::make_unique<MPIPoolExecutor>();
    const auto first = executor->submit(pass_and_double, gate.path(), 1);
    const auto second = executor->submit(twice, 21);
    const Future<bool> ended;
    first.add_done_callback([&](const auto&) {
        if (destroys) {
            executor.reset();
        } else {
            executor->shutdown();
        }
        ended.set_result(true);
    });
    gate.open(1);
    CHECK(ended.result(30s));
    CHECK(second.result(30s) == 42);
}

TEST_CASE("MPIPoolExecutor: a callback cannot wait for the ranks", "[mpi]") {
    MPIPoolExecutor executor;
    MPIPoolExecutor other;
    const Gate gate;
    const Future<bool> refused;
    const auto future = executor.submit(pass_and_double, gate.path(), 1);
    future.add_done_callback([&](const auto&) {
        try {
            other.bootup();
            refused.set_result(false);
        } catch (const mp::StateError&) {
            other.bootup(false);
            refused.set_result(true);
        }
    });
    gate.open(1);
    CHECK(refused.result(30s));
    other.bootup();
}

TEST_CASE("MPIPoolExecutor: callbacks of those that never ran are called", "[mpi]") {
    const Gate gate;
    std::atomic<int> called{0};
    const auto count = [&](const auto&) {
        ++called;
    };
    {
        MPIPoolExecutor executor(test::one_by_one());
        const auto blocked = executor.submit(test::pass, gate.path());
        std::vector<Future<int>> all;
        for (int i = 0; i < 10; ++i) {
            all.push_back(executor.submit(twice, i));
            all.back().add_done_callback(count);
        }
        executor.shutdown({.wait = false, .cancel_futures = true});
        gate.open(1);
    }
    CHECK(called == 10);
    {
        MPIPoolExecutor executor(
            {.initializer = mp::call(pass_and_double, gate.path(), 1), .credits = 1}
        );
        const Future<int> never;
        const auto waiting = executor.submit({.after = {never}}, twice, 1);
        waiting.add_done_callback(count);
        executor.submit(twice, 1).add_done_callback(count);
        gate.open(executor.num_workers());
        never.set_result(1);
    }
    CHECK(called == 12);
}

// SPDX-License-Identifier: BSL-1.0
// How tasks of an MPIPoolExecutor are cancelled, and how submit() waits for space.
#include "futures/mpi_pool.hpp"
#include "futures/this_task.hpp"
#include "mp/errors.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/soon.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::Future;
using futures::MPIPoolExecutor;
using test::Gate;
using test::twice;

namespace {

void ring_and_pass(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
}

/// Until it is asked to stop.
void ring_and_run_on(const std::string& bell) {
    test::ring(bell);
    while (!futures::this_task().stop_requested()) {
        std::this_thread::yield();
    }
}

}  // namespace

TEST_CASE("MPIPoolExecutor: cancel() is exact until a task is sent", "[mpi]") {
    const Gate bell;
    const Gate gate;
    const int credits = GENERATE(1, 2, 3);
    MPIPoolExecutor executor({.max_workers = 1, .credits = credits});
    const auto running = executor.submit(ring_and_pass, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    std::vector<Future<void>> sent;
    for (int i = 1; i < credits; ++i) {
        sent.push_back(executor.submit(test::ring, bell.path()));
        REQUIRE(test::soon([&] { return sent.back().running(); }));
    }
    std::vector<Future<void>> queued;
    for (int i = 0; i < 10; ++i) {
        queued.push_back(executor.submit(test::ring, bell.path()));
    }
    CHECK(running.running());
    CHECK(!running.cancel());
    for (const auto& future : sent) {
        CHECK(!future.cancel());
    }
    std::size_t called = 0;
    for (std::size_t i = 0; i < queued.size(); i += 2) {
        CHECK(!queued[i].running());
        queued[i].add_done_callback([&](const auto&) { ++called; });
        CHECK(queued[i].cancel());
        CHECK(queued[i].cancel());
        CHECK(queued[i].cancelled());
        CHECK_THROWS_AS(queued[i].result(), CancelledError);
    }
    CHECK(called == 5);
    gate.open(1);
    executor.shutdown();
    CHECK(bell.wait_for(sent.size() + 5));
    CHECK(!bell.has_one());
    for (std::size_t i = 1; i < queued.size(); i += 2) {
        CHECK(!queued[i].cancelled());
    }
    const auto statistics = executor.statistics();
    CHECK(statistics.submitted == 10 + sent.size() + 1);
    CHECK(statistics.concluded == statistics.submitted);
}

TEST_CASE("MPIPoolExecutor: one that waits for another is cancelled at once", "[mpi]") {
    const Gate bell;
    const Future<int> by_hand;
    MPIPoolExecutor executor;
    const auto waiting = executor.submit({.after = {by_hand}}, test::ring, bell.path());
    CHECK(waiting.cancel());
    by_hand.set_result(1);
    executor.shutdown();
    CHECK(!bell.has_one());
}

TEST_CASE(
    "MPIPoolExecutor: a task that runs in a rank itself is not stopped", "[mpi]"
) {
    const Gate bell;
    const Gate gate;
    MPIPoolExecutor executor(test::one_by_one());
    const auto running = executor.submit(ring_and_pass, bell.path(), gate.path());
    const auto queued = executor.submit(test::ring, bell.path());
    REQUIRE(bell.wait_for(1));
    CHECK(!running.cancel(futures::running));
    CHECK(queued.cancel(futures::running));
    CHECK(queued.cancelled());
    gate.open(1);
    running.result(30s);
    executor.shutdown();
    CHECK(!bell.has_one());
}

TEST_CASE("MPIPoolExecutor: with isolation cancel(running) ends a task", "[mpi]") {
    const Gate bell;
    const Gate gate;
    auto options = test::isolated();
    options.max_workers = 1;
    options.credits = 2;
    MPIPoolExecutor executor(options);
    const auto stuck = executor.submit(ring_and_pass, bell.path(), gate.path());
    // It waits in the rank for the only worker there.
    const auto sent = executor.submit(ring_and_pass, bell.path(), gate.path());
    const auto queued = executor.submit(twice, 21);
    REQUIRE(bell.wait_for(1));
    REQUIRE(test::soon([&] { return sent.running(); }));
    CHECK(!stuck.cancel());
    CHECK(!sent.cancel());
    CHECK(sent.cancel(futures::running));
    CHECK_THROWS_AS(sent.result(30s), CancelledError);
    CHECK(stuck.cancel(futures::running));
    CHECK_THROWS_AS(stuck.result(30s), CancelledError);
    CHECK(stuck.cancelled());
    CHECK(queued.result(30s) == 42);
    executor.shutdown();
    CHECK(!bell.has_one());  // the second one never ran
}

TEST_CASE("MPIPoolExecutor: one that heeds the request ends by itself", "[mpi]") {
    const Gate bell;
    MPIPoolExecutor executor(test::isolated());
    const auto future =
        executor.submit({.grace = mp::forever}, ring_and_run_on, bell.path());
    REQUIRE(bell.wait_for(1));
    CHECK(future.cancel(futures::running));
    CHECK_THROWS_AS(future.result(30s), CancelledError);
    CHECK(executor.statistics().tasks_lost == 0);
}

TEST_CASE("MPIPoolExecutor: with max_pending submit() waits for space", "[mpi]") {
    const Gate gate;
    constexpr std::size_t most = 2;
    MPIPoolExecutor executor({.max_workers = 1, .credits = 1, .max_pending = most});
    std::atomic<std::size_t> submitted{0};
    std::vector<Future<void>> all(20);
    std::thread submitting([&] {
        for (auto& future : all) {
            future = executor.submit(test::pass, gate.path());
            ++submitted;
        }
    });
    // One runs, the others wait.
    CHECK(test::soon([&] { return submitted == 1 + most; }));
    for (std::size_t opened = 0; opened < all.size(); ++opened) {
        CHECK(executor.statistics().pending <= most);
        CHECK(submitted <= opened + 1 + most);
        gate.open(1);
        CHECK(test::soon([&] {
            return submitted == std::min(all.size(), opened + 2 + most);
        }));
    }
    submitting.join();
    for (const auto& future : all) {
        CHECK(future.exception(30s) == nullptr);
    }
}

TEST_CASE("MPIPoolExecutor: one that is cancelled makes space", "[mpi]") {
    const Gate bell;
    const Gate gate;
    MPIPoolExecutor executor({.max_workers = 1, .credits = 1, .max_pending = 1});
    const auto running = executor.submit(ring_and_pass, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto queued = executor.submit(twice, 1);
    Future<int> next;
    std::thread submitting([&] { next = executor.submit(twice, 21); });
    CHECK(queued.cancel());
    submitting.join();
    gate.open(1);
    CHECK(next.result(30s) == 42);
    running.result(30s);
}

TEST_CASE("MPIPoolExecutor: shutdown() ends the wait for space", "[mpi]") {
    const Gate bell;
    const Gate gate;
    MPIPoolExecutor executor({.max_workers = 1, .credits = 1, .max_pending = 1});
    executor.submit(ring_and_pass, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto queued = executor.submit(twice, 1);
    bool refused = false;
    std::thread submitting([&] {
        try {
            executor.submit(twice, 2);
        } catch (const mp::StateError&) {
            refused = true;
        }
    });
    executor.shutdown({.wait = false});
    submitting.join();
    CHECK(refused);
    gate.open(1);
    CHECK(queued.result(30s) == 2);
}

TEST_CASE("MPIPoolExecutor: a callback does not wait for space", "[mpi]") {
    MPIPoolExecutor executor({.max_workers = 1, .credits = 1, .max_pending = 1});
    std::vector<Future<int>> all;
    const Future<int> submitted;
    executor.submit(twice, 1).add_done_callback([&](const auto&) {
        for (int i = 0; i < 20; ++i) {
            all.push_back(executor.submit(twice, i));
        }
        submitted.set_result(1);
    });
    submitted.result(30s);
    for (int i = 0; i < 20; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(30s) == 2 * i);
    }
}

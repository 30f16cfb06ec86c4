// SPDX-License-Identifier: BSL-1.0
// reset(): a broken pool works again.
#include "futures/process_pool.hpp"
#include "futures/this_pool.hpp"
#include "futures/when.hpp"
#include "mp/errors.hpp"

#include "faults/board_scribbling.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using test::inc;

namespace {

void die_to_reset() {
    raise(SIGKILL);
}

int die_with_a_value() {
    raise(SIGKILL);
    return 0;
}

/// Several at once, for which a worker is added that may run them.
int wait_for_those_that_die() {
    const auto both = futures::when_all(
        futures::this_pool().submit(die_with_a_value),
        futures::this_pool().submit(die_with_a_value)
    );
    const auto [first, second] = both.result();
    return first + second;
}

int ring_and_pass(const std::string& begun, const std::string& end) {
    test::ring(begun);
    test::pass(end);
    return 1;
}

/// Over all that the pool and its workers share, but for arenas.
int write_over_the_board(unsigned seed) {
    for (const auto board : test::mappings_of("mp-board")) {
        test::Scribbler(board, seed).noise();
    }
    return 1;
}

void break_it(ProcessPoolExecutor& pool) {
    CHECK_THROWS_AS(pool.submit(die_to_reset).result(60s), BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
}

}  // namespace

TEST_CASE("reset: a broken pool works again, with new workers", "[pool]") {
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 100; ++i) {
            REQUIRE(pool.submit(inc, i).result(60s) == i + 1);
        }
        const auto workers = pool.workers();
        break_it(pool);
        pool.reset();
        CHECK(test::gone_within(workers, 0ms));
    }
    const auto results = pool.map(inc, std::vector{1, 2, 3}).to_vector();
    CHECK(results == std::vector{2, 3, 4});
    CHECK(pool.statistics().workers_lost == 3);
}

TEST_CASE("reset: whatever was written over the memory of the pool", "[pool]") {
    for (unsigned seed = 0; seed < 5; ++seed) {
        auto options =
            test::on(quick_pool_context(), 2, futures::OnWorkerLoss::isolate);
        ProcessPoolExecutor pool(options);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
        pool.submit(write_over_the_board, seed).exception(60s);  // or its result
        try {
            for (;;) {
                pool.submit(inc, 1).result(60s);
            }
        } catch (const BrokenProcessPool&) {
            pool.reset();
        }
        for (int i = 0; i < 200; ++i) {
            REQUIRE(pool.submit(inc, i).result(60s) == i + 1);
        }
    }
}

TEST_CASE("reset: does nothing to a pool that is not broken", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    pool.reset();
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    const auto workers = pool.workers();
    pool.reset();
    CHECK(pool.workers() == workers);
}

TEST_CASE("reset: throws after shutdown", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    break_it(pool);
    pool.shutdown();
    CHECK_THROWS_AS(pool.reset(), mp::StateError);
    ProcessPoolExecutor whole(test::on(quick_pool_context(), 1));
    whole.shutdown();
    CHECK_THROWS_AS(whole.reset(), mp::StateError);
}

TEST_CASE("reset: in a callback of a future that tells of the break", "[pool]") {
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 1));
    pool.submit(inc, 1).result(60s);
    std::promise<int> after;
    auto doomed = pool.submit(die_to_reset);
    doomed.add_done_callback([&](const Future<void>&) {
        try {
            pool.reset();
            after.set_value(pool.submit(inc, 1).result(60s));
        } catch (...) {
            after.set_exception(std::current_exception());
        }
    });
    CHECK(after.get_future().get() == 2);
    CHECK(pool.submit(inc, 2).result(60s) == 3);
}

TEST_CASE(
    "reset: in the middle of waits, the pool has as many workers as ever", "[pool]"
) {
    const test::Gate begun;
    const test::Gate end;
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
    for (int round = 0; round < 2; ++round) {
        const auto first = pool.submit(wait_for_those_that_die);
        const auto second = pool.submit(wait_for_those_that_die);
        CHECK_THROWS_AS(first.result(60s), BrokenProcessPool);
        CHECK_THROWS_AS(second.result(60s), BrokenProcessPool);
        pool.reset();
        std::vector<Future<int>> tasks;
        for (int i = 0; i < 3; ++i) {
            tasks.push_back(pool.submit(ring_and_pass, begun.path(), end.path()));
        }
        CHECK(begun.wait_for(2));
        CHECK(pool.workers().size() == 2);
        end.open(tasks.size());
        for (const auto& task : tasks) {
            CHECK(task.result(60s) == 1);
        }
        CHECK(begun.wait_for(1));
    }
}

TEST_CASE("reset: beside threads that submit, and others that reset", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2));
    std::atomic<bool> over{false};
    std::atomic<int> done{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            while (!over) {
                try {
                    const auto future = pool.submit(inc, 1);
                    done += future.result(60s) == 2 ? 1 : 0;
                } catch (const BrokenProcessPool&) {
                    pool.reset();
                }
            }
        });
    }
    for (int round = 0; round < 20; ++round) {
        try {
            pool.submit(die_to_reset).result(60s);
        } catch (const BrokenProcessPool&) {
            pool.reset();
        }
        const int before = done;
        while (done < before + 3) {
            std::this_thread::yield();
        }
    }
    over = true;
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

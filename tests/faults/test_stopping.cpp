// SPDX-License-Identifier: BSL-1.0
// Tasks that are stopped, by their limit or by hand, and pools that lose too much. The
// cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::CancelledError;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using futures::TaskTimeout;
using futures::WorkerLost;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::tasks::ring_and_pass;

namespace {

/// Of each size, by each start method.
ProcessPoolOptions pool_of_any_size() {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate);
}

int spin_against_sigterm(const std::string& bell) {
    signal(SIGTERM, SIG_IGN);
    test::ring(bell);
    for (volatile int i = 0;;) {
        i = 1 - i;
    }
}

int block_at_once() {
    test::block_until_killed();
}

int block_with_result(const std::string& bell, const std::string& text) {
    test::ring(bell);
    return text.empty() ? 0 : block_at_once();
}

int end_when_asked(const std::string& bell) {
    test::ring(bell);
    while (!futures::this_task().stop_requested()) {
        std::this_thread::yield();
    }
    return 5;
}

int block_at_three(int x) {
    return x == 3 ? block_at_once() : x;
}

void die_at_once() {
    raise(SIGKILL);
}

std::string give_text(std::size_t size) {
    return std::string(size, 'x');
}

}  // namespace

TEST_CASE(
    "I11 C30: a task that runs and listens to nothing is cancelled: its worker is gone",
    "[faults]"
) {
    const Gate bell;
    ProcessPoolExecutor pool(pool_of_any_size());
    const auto runs =
        pool.submit({.kill_after = 20ms}, spin_against_sigterm, bell.path());
    REQUIRE(bell.wait_for(1));
    const auto workers = pool.workers();
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(60s), CancelledError);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    if (workers.size() == 1) {
        CHECK(gone_within(workers, 1s));
    }
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "C17: a pool that loses too many breaks, and reset() revives it", "[faults]"
) {
    auto options = pool_of_any_size();
    options.max_losses = {.count = 10, .within = 60s};
    ProcessPoolExecutor pool(options);
    for (int round = 0; round < 2; ++round) {
        std::size_t lost = 0;
        std::size_t broken = 0;
        try {
            std::vector<Future<void>> crashes;
            for (int i = 0; i < 20; ++i) {
                crashes.push_back(pool.submit(die_at_once));
            }
            for (const auto& crash : crashes) {
                try {
                    crash.result(60s);
                } catch (const WorkerLost&) {
                    ++lost;
                } catch (const BrokenProcessPool&) {
                    ++broken;
                }
            }
            CHECK(lost + broken == 20);
            CHECK(lost <= 11);  // with the one too many
        } catch (const BrokenProcessPool&) {
            // It broke while there was more to submit.
        }
        CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
        CHECK_THROWS_WITH(
            pool.submit(inc, 1), test::ContainsSubstring("more than 10 workers")
        );
        pool.reset();
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
}

TEST_CASE("I7: fifty tasks whose time is up together", "[.stress][faults]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, GENERATE(2, 8), OnWorkerLoss::isolate));
    std::vector<Future<int>> all;
    for (int i = 0; i < 50; ++i) {
        all.push_back(pool.submit({.timeout = 20ms}, block_at_once));
    }
    for (const auto& one : all) {
        CHECK_THROWS_AS(one.result(60s), TaskTimeout);
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().concluded == 51);
}

TEST_CASE("I8: a limit inside a chunk is that item's alone", "[.stress][faults]") {
    ProcessPoolExecutor pool(pool_of_any_size());
    auto results = pool.map(
        {.chunksize = 3, .task_timeout = 500ms}, block_at_three, {0, 1, 2, 3, 4, 5}
    );
    auto it = results.begin();
    for (int i = 0; i < 6; ++i, ++it) {
        if (i == 3) {
            CHECK_THROWS_AS(*it, TaskTimeout);
        } else {
            CHECK(*it == i);
        }
    }
}

TEST_CASE(
    "I9 I12: what is cancelled in the queue never runs, what is done stays as it is",
    "[.stress][faults]"
) {
    const Gate bell;
    const Gate gate;
    const Gate never;
    auto options = pool_of_any_size();
    const auto workers = static_cast<std::size_t>(options.max_workers->value());
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> running;
    for (std::size_t i = 0; i < workers; ++i) {
        running.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), 1));
    }
    REQUIRE(bell.wait_for(workers));
    const auto queued = pool.submit(test::ring, never.path());
    CHECK(queued.cancel());
    CHECK(queued.cancelled());
    gate.open(workers);
    for (const auto& one : running) {
        CHECK(one.result(60s) == 1);
        CHECK_FALSE(one.cancel());
        CHECK_FALSE(one.cancel(futures::running));
        CHECK(one.result() == 1);
    }
    pool.shutdown();
    CHECK_FALSE(never.has_one());
}

TEST_CASE(
    "I2 I10: a task that ends when it is asked to keeps its worker", "[.stress][faults]"
) {
    const Gate bell;
    ProcessPoolExecutor pool(pool_of_any_size());
    const auto limited =
        pool.submit({.timeout = 20ms, .grace = 60s}, end_when_asked, bell.path());
    CHECK(limited.result(60s) == 5);
    REQUIRE(bell.wait_for(1));
    const auto cancelled = pool.submit({.grace = 60s}, end_when_asked, bell.path());
    REQUIRE(bell.wait_for(1));
    CHECK(cancelled.cancel(futures::running));
    CHECK_THROWS_AS(cancelled.result(60s), CancelledError);
    pool.shutdown();
    CHECK(pool.statistics().workers_started <= pool.statistics().max_workers);
}

TEST_CASE(
    "I14: running tasks and long results are cancelled, and the pool is ended",
    "[.stress][faults]"
) {
    const Gate bell;
    const std::string text(5'000'000, 'x');
    ProcessPoolExecutor pool(pool_of_any_size());
    std::vector<Future<int>> all;
    std::vector<Future<std::string>> texts;
    for (int i = 0; i < 10; ++i) {
        texts.push_back(pool.submit(give_text, text.size()));
        all.push_back(pool.submit(block_with_result, bell.path(), text));
    }
    REQUIRE(bell.wait_for(1));
    for (std::size_t i = 0; i < 10; ++i) {
        texts[i].cancel(futures::running);
        all[i].cancel(futures::running);
    }
    pool.shutdown();
    for (std::size_t i = 0; i < 10; ++i) {
        CHECK(texts[i].done());
        CHECK(all[i].cancelled());
    }
}

TEST_CASE("I15: a callback cancels others, queued and running", "[.stress][faults]") {
    const Gate bell;
    const Gate gate;
    auto options = pool_of_any_size();
    const auto workers = static_cast<std::size_t>(options.max_workers->value());
    ProcessPoolExecutor pool(options);
    const auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    std::vector<Future<int>> blocked;
    for (std::size_t i = 0; i < workers + 5; ++i) {
        blocked.push_back(pool.submit(block_at_once));
    }
    REQUIRE(bell.wait_for(1));
    first.add_done_callback([&](const auto&) {
        for (const auto& one : blocked) {
            one.cancel(futures::running);
        }
    });
    gate.open(1);
    for (const auto& one : blocked) {
        CHECK_THROWS_AS(one.result(60s), CancelledError);
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

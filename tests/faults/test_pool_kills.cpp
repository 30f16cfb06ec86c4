// SPDX-License-Identifier: BSL-1.0
// Workers of a pool that die at one point of the protocol, again and again. The cases:
// docs/faults.md.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

struct Outcome {
    int values = 0;
    int lost = 0;
    std::uint64_t workers_lost = 0;
};

/// Forty tasks for workers of which each dies when it comes to `point` for the third
/// time.
Outcome with_deaths_at(const std::string& point, int workers) {
    const test::LogCapture log;  // of forks beside the pool's thread
    test::arm({point, 3});
    Outcome outcome;
    {
        ProcessPoolExecutor pool(
            on(mp::get_context("fork"), workers, OnWorkerLoss::isolate)
        );
        std::vector<Future<int>> all;
        for (int i = 0; i < 40; ++i) {
            all.push_back(pool.submit(inc, i));
        }
        for (int i = 0; i < 40; ++i) {
            try {
                const int value = all[static_cast<std::size_t>(i)].result(60s);
                CHECK(value == i + 1);
                ++outcome.values;
            } catch (const futures::WorkerLost&) {
                ++outcome.lost;
            }
        }
        outcome.workers_lost = pool.statistics().workers_lost;
    }
    test::arm({});
    return outcome;
}

}  // namespace

// A worker that replaces a dead one is forked beside threads: one of these may hold a
// lock of the sanitizer's then.
TEST_CASE(
    "G5 pebble::process_pool::deadlock_new_futures: workers that die as they fetch a "
    "task "
    "lose none",
    "[no-asan][no-tsan]"
) {
    const int workers = GENERATE(1, 2, 8);
    for (const char* const point :
         {"worker: before claim", "worker: after claim", "worker: head moved"}) {
        INFO(point);
        const Outcome outcome = with_deaths_at(point, workers);
        CHECK(outcome.values == 40);
        CHECK(outcome.workers_lost > 0);
    }
}

TEST_CASE(
    "G6: workers that die as they begin a task lose that one at most",
    "[no-asan][no-tsan]"
) {
    const int workers = GENERATE(1, 2, 8);
    for (const char* const point :
         {"worker: before running", "worker: after running"}) {
        INFO(point);
        const Outcome outcome = with_deaths_at(point, workers);
        CHECK(outcome.values + outcome.lost == 40);
        CHECK(outcome.workers_lost > 0);
        CHECK(static_cast<std::uint64_t>(outcome.lost) <= outcome.workers_lost);
    }
}

TEST_CASE(
    "D4 pebble::process_pool::deadlock_result: workers that die as they write a result "
    "lose that task, and the pool goes on",
    "[no-asan][no-tsan]"
) {
    const int workers = GENERATE(1, 2, 8);
    for (const char* const point :
         {"worker: after result bytes",
          "worker: before push",
          "worker: entry half written",
          "worker: before commit"}) {
        INFO(point);
        const Outcome outcome = with_deaths_at(point, workers);
        CHECK(outcome.values + outcome.lost == 40);
        CHECK(outcome.lost > 0);
        CHECK(static_cast<std::uint64_t>(outcome.lost) <= outcome.workers_lost);
    }
}

TEST_CASE(
    "D6 ray::test_failure::worker_error_after_result "
    "billiard::pool_source::lost_worker_grace: a result that was written stands, "
    "though its worker dies at once",
    "[no-asan][no-tsan]"
) {
    const int workers = GENERATE(1, 2, 8);
    const Outcome outcome = with_deaths_at("worker: after commit", workers);
    CHECK(outcome.values == 40);
    CHECK(outcome.workers_lost > 0);
}

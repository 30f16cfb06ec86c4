// SPDX-License-Identifier: BSL-1.0
// max_losses: how many workers a pool loses before it is better broken.
#include "futures/process_pool.hpp"

#include "process_pool/loss_window.hpp"
#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <chrono>
#include <stdexcept>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using futures::detail::LossWindow;

namespace {

void die() {
    raise(SIGKILL);
}

}  // namespace

TEST_CASE(
    "billiard::restart_state::limit_reached: as many as the limit pass, one more does "
    "not",
    "[pool]"
) {
    LossWindow window({.count = 100, .within = 1s});
    const LossWindow::Clock::time_point begin{10s};
    for (int i = 0; i < 100; ++i) {
        REQUIRE(window.add("a loss", begin + i * 1ms));
    }
    CHECK_FALSE(window.add("the last", begin + 200ms));
    CHECK_THAT(window.story(), test::ContainsSubstring("more than 100 workers"));
    CHECK_THAT(window.story(), test::ContainsSubstring("within 1 s"));
    CHECK_THAT(window.story(), test::ContainsSubstring("a loss; the last"));
}

TEST_CASE(
    "billiard::restart_state::window_passed: what is older than the window is "
    "forgotten",
    "[pool]"
) {
    LossWindow window({.count = 3, .within = 1s});
    const LossWindow::Clock::time_point begin{10s};
    for (int i = 0; i < 3; ++i) {
        REQUIRE(window.add("early", begin));
    }
    for (int i = 0; i < 3; ++i) {
        REQUIRE(window.add("late", begin + 1001ms));
    }
    CHECK_FALSE(window.add("late", begin + 1002ms));
}

TEST_CASE(
    "max_losses: without it there is no limit, and nonsense is refused", "[pool]"
) {
    LossWindow window({});
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(window.add("a loss", {}));
    }
    CHECK_THROWS_AS(LossWindow({.count = -1}), std::invalid_argument);
    CHECK_THROWS_AS(LossWindow({.within = 0s}), std::invalid_argument);
    CHECK_THROWS_AS(
        ProcessPoolExecutor({.max_workers = 1, .max_losses = {.count = -1}}),
        std::invalid_argument
    );
}

TEST_CASE(
    "billiard::restart_state::reset_by_accepted_job: tasks that each end their worker "
    "break the pool, which tells of the last losses",
    "[pool]"
) {
    auto options = test::on(each_pool_start_method(), 2, OnWorkerLoss::isolate);
    options.max_losses = {.count = 3, .within = 60s};
    ProcessPoolExecutor pool(options);
    for (int i = 0; i < 3; ++i) {
        CHECK_THROWS_AS(pool.submit(die).result(60s), WorkerLost);
    }
    const auto fourth = pool.submit(die);
    CHECK_THROWS_AS(fourth.result(60s), BrokenProcessPool);
    try {
        pool.submit(test::inc, 1);
        FAIL("it takes work");
    } catch (const BrokenProcessPool& error) {
        CHECK_THAT(error.what(), test::ContainsSubstring("more than 3 workers"));
        CHECK_THAT(error.what(), test::ContainsSubstring("killed by signal 9"));
    }
}

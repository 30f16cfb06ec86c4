// SPDX-License-Identifier: BSL-1.0
// Pools in tasks of pools, beyond the depth that is allowed, or beyond the time. The
// cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/patience.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;

namespace {

constexpr int allowed_depth = 4;

futures::ProcessPoolOptions limited_pool(StartMethod method) {
    auto options = on(mp::get_context(method), 1, OnWorkerLoss::isolate);
    options.max_depth = allowed_depth;
    return options;
}

/// Has no end of its own.
int nest_for_ever(StartMethod method) {
    ProcessPoolExecutor pool(limited_pool(method));
    return 1 + pool.submit(nest_for_ever, method).result();
}

/// The innermost task says how deep it is.
int nest_to(StartMethod method, int depth) {
    if (depth == 0) {
        return 0;
    }
    ProcessPoolExecutor pool(limited_pool(method));
    return 1 + pool.submit(nest_to, method, depth - 1).result();
}

/// Two tasks at each level. Each leaves its pid in a folder; none ends, nor heeds
/// SIGTERM.
int spread(
    StartMethod method, int depth, const std::string& folder, const std::string& bell
) {
    signal(SIGTERM, SIG_IGN);
    std::ofstream(folder + "/" + std::to_string(::getpid()));
    if (depth == 0) {
        test::ring(bell);
        test::block_until_killed();
    }
    ProcessPoolExecutor pool(on(mp::get_context(method), 2, OnWorkerLoss::isolate));
    const auto one = pool.submit(spread, method, depth - 1, folder, bell);
    const auto other = pool.submit(spread, method, depth - 1, folder, bell);
    return one.result() + other.result();
}

std::vector<pid_t> pids_in(const test::TempDir& folder) {
    std::vector<pid_t> pids;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
        pids.push_back(std::stoi(entry.path().filename().string()));
    }
    return pids;
}

bool rings_so_often(const Gate& bell, int count) {
    int rung = 0;
    while (bell.has_one()) {
        ++rung;
    }
    return rung == count;
}

}  // namespace

TEST_CASE("M7: a task makes a pool, and its tasks do so, for ever", "[faults]") {
    const test::LogCapture log;
    const auto context = each_pool_start_method();
    const auto method = context.get_start_method();
    ProcessPoolExecutor pool(limited_pool(method));
    const auto endless = pool.submit(nest_for_ever, method);
    try {
        endless.result(50s);
        FAIL("it has an end");
    } catch (const mp::StateError& error) {
        CHECK_THAT(error.what(), test::ContainsSubstring("5th inside each other"));
        CHECK_THAT(error.what(), test::ContainsSubstring("max_depth is 4"));
    }
    // The limit counts this pool, and what is within it works, in the same worker.
    CHECK(pool.submit(nest_to, method, allowed_depth - 1).result(50s) == 3);
    CHECK(pool.submit(inc, 1).result(50s) == 2);
    CHECK(pool.statistics().workers_started == 1);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "I18: the time of a task is up whose tasks, in pools of its own, have pools",
    "[faults]"
) {
    const test::LogCapture log;
    const auto context = each_pool_start_method();
    const auto method = context.get_start_method();
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    // On a busy machine a longer one, until all levels are there when it is up.
    bool all_there = false;
    for (auto limit = 500ms; !all_there && limit <= test::patience(1s); limit *= 3) {
        const Gate bell;
        const test::TempDir folder;
        const auto outer = pool.submit(
            {.timeout = limit, .kill_after = 20ms},
            spread,
            method,
            2,
            std::string(folder.path()),
            bell.path()
        );
        CHECK_THROWS_AS(outer.result(60s), futures::TaskTimeout);
        CHECK(gone_within(pids_in(folder), 1s));
        all_there = rings_so_often(bell, 4);
        CHECK((!all_there || pids_in(folder).size() >= 7));
    }
    CHECK(all_there);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 0);
}

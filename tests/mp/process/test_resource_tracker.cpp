// SPDX-License-Identifier: BSL-1.0
// ensure_running: when there is a tracker, whose it is, and what happens when there can
// be none.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/spawn.hpp"

#include "process/resource_tracker_client.hpp"
#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using mp::resource_tracker::ensure_running;

namespace {

int own_trackers() {
    int count = 0;
    test::for_each_process([&](const test::ProcStat& one) {
        count += one.parent == ::getpid() && !one.zombie() &&
                         std::string_view(one.name) == "mp-tracker"
                     ? 1
                     : 0;
    });
    return count;
}

pid_t tracker() {
    return mp::detail::resource_tracker_pid();
}

// The status is the number of trackers that the child started itself.
void ensure_in_child() {
    ensure_running();
    throw mp::SystemExit(10 + own_trackers());
}

/// Begins and ends without a tracker.
struct NoTracker {
    NoTracker() { mp::stop_helpers(); }

    ~NoTracker() { mp::stop_helpers(); }

    NoTracker(const NoTracker&) = delete;
    NoTracker& operator=(const NoTracker&) = delete;
};

}  // namespace

TEST_CASE("ensure_running: starts one tracker, however often", "[resource_tracker]") {
    const NoTracker none;
    CHECK(own_trackers() == 0);
    ensure_running();
    CHECK(own_trackers() == 1);
    const pid_t first = tracker();
    ensure_running();
    CHECK(tracker() == first);
    CHECK(own_trackers() == 1);
}

TEST_CASE("ensure_running: threads at once have one tracker", "[resource_tracker]") {
    const NoTracker none;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([] { ensure_running(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(own_trackers() == 1);
}

TEST_CASE(
    "ensure_running: a tracker that was stopped is replaced", "[resource_tracker]"
) {
    const NoTracker none;
    ensure_running();
    const pid_t first = tracker();
    mp::stop_helpers();
    test::ProcStat stat;
    CHECK_FALSE(test::read_stat(first, stat));
    const test::LogCapture log;
    ensure_running();
    CHECK(own_trackers() == 1);
    // It had ended as it should: nothing to tell.
    CHECK(log.text().empty());
}

TEST_CASE(
    "ensure_running: one that was killed, too, with a line", "[resource_tracker]"
) {
    const NoTracker none;
    ensure_running();
    const pid_t first = tracker();
    ::kill(first, SIGKILL);
    REQUIRE(test::gone_within({first}, 1s));
    const test::LogCapture log;
    ensure_running();
    CHECK(tracker() != first);
    CHECK(own_trackers() == 1);
    CHECK_THAT(log.text(), test::ContainsSubstring("died unexpectedly"));
}

TEST_CASE(
    "ensure_running: a child has the tracker of its parent", "[resource_tracker]"
) {
    const mp::Context ctx = each_start_method();
    const NoTracker none;
    ensure_running();
    CHECK(test::exit_code_of(ctx.Process(ensure_in_child)) == 10);
    CHECK(own_trackers() == 1);
}

TEST_CASE("ensure_running: where the parent has none, its own", "[resource_tracker]") {
    const mp::Context ctx = each_start_method();
    const NoTracker none;
    CHECK(test::exit_code_of(ctx.Process(ensure_in_child)) == 11);
    CHECK(own_trackers() == 0);
}

// ThreadSanitizer makes vfork a fork: the child cannot say why it failed.
TEST_CASE(
    "ensure_running: says so when there can be no tracker",
    "[resource_tracker][no-tsan]"
) {
    const NoTracker none;
    mp::set_executable("/nonexistent/program");
    try {
        ensure_running();
        FAIL("it runs");
    } catch (const mp::SpawnError& error) {
        CHECK(error.stage == mp::SpawnStage::exec);
    }
    mp::set_executable("/bin/true");
    CHECK_THROWS_AS(ensure_running(), mp::SpawnError);
    mp::set_executable("");
    ensure_running();
    CHECK(own_trackers() == 1);
}

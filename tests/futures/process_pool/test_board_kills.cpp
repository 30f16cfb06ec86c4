// SPDX-License-Identifier: BSL-1.0
// The board's protocol alone, with workers that are killed at every point between two
// operations and at random ones, and stopped.
#include "futures/process_pool/board_play.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <random>
#include <string>

using namespace std::chrono_literals;
using futures::detail::BoardOptions;
using test::play;
using test::Scenario;
using test::sleepy;

namespace {

/// The places in the worker's side of the board's protocol.
constexpr std::array failpoints{
    "worker: slot seen",          "worker: before claim",
    "worker: after claim",        "worker: head moved",
    "worker: before help",        "worker: after help",
    "worker: search begun",       "worker: stopped searching",
    "worker: before token",       "worker: after token",
    "worker: before worker wake", "worker: after worker wake",
    "worker: before park",        "worker: after park",
    "worker: after sleeper bit",  "worker: after search end",
    "worker: before sleep",       "worker: after sleep",
    "worker: bit cleared",        "worker: before running",
    "worker: after running",      "worker: after run",
    "worker: after result bytes", "worker: before result ready",
    "worker: result ready",       "worker: before push",
    "worker: entry half written", "worker: before commit",
    "worker: after commit",       "worker: before parent wake",
    "worker: client counted",     "worker: before parent mark",
    "worker: after parent mark",
};

}  // namespace

// A worker that replaces a dead one is forked beside the clients' threads: one of these
// may hold AddressSanitizer's allocator then, and the child would wait for it for ever.
TEST_CASE(
    "Board: kills at random moments lose only running tasks", "[board][no-asan]"
) {
    play({.deaths = 100, .kill_at_random = true});
}

TEST_CASE("Board: kills and stops of workers that sleep a lot", "[board][no-asan]") {
    play(
        {.board = sleepy(4),
         .max_burst = 40,
         .least_tasks = 2'000,
         .deaths = 60,
         .kill_at_random = true,
         .stop_at_random = true}
    );
}

TEST_CASE("Board: kills and stops with eight slots", "[board][no-asan]") {
    BoardOptions board = sleepy(4);
    board.slots = 8;
    play(
        {.board = board,
         .clients = 3,
         .deaths = 60,
         .kill_at_random = true,
         .stop_at_random = true}
    );
}

TEST_CASE("Board: two thousand kills, with stops", "[board][.stress][no-asan]") {
    play({.clients = 3, .deaths = 2000, .kill_at_random = true, .stop_at_random = true}
    );
    play(
        {.board = sleepy(4),
         .max_burst = 40,
         .deaths = 1000,
         .kill_at_random = true,
         .stop_at_random = true}
    );
}

TEST_CASE(
    "Board: a kill between any two operations loses only what ran", "[board][no-asan]"
) {
    const bool sleeps = GENERATE(false, true);
    for (std::size_t at = 0; at < failpoints.size(); ++at) {
        const std::string point = failpoints[at];
        // Nobody gets past a point at which all are killed the first time: let some by.
        auto random = std::make_shared<std::mt19937>(static_cast<unsigned>(at));
        Scenario scenario;
        scenario.board = sleeps ? sleepy(3) : BoardOptions{.workers = 3};
        scenario.max_burst = 40;
        scenario.least_tasks = 500;
        scenario.deaths = 10;
        scenario.at_most = 200ms;
        scenario.plan = [random, point] {
            return test::Failpoint{point, 2 + static_cast<int>((*random)() % 20)};
        };
        INFO(point << (sleeps ? ", sleepy" : ", busy"));
        play(scenario);
    }
}

// SPDX-License-Identifier: BSL-1.0
// The board's protocol alone: workers made by plain fork. With workers that are killed:
// test_board_kills.cpp.
#include "futures/process_pool/board_play.hpp"

#include "support/catch.hpp"

using test::play;
using test::sleepy;

TEST_CASE("Board: every task ends once, with its own result", "[board]") {
    for (const std::uint32_t workers : {1U, 2U, 4U, 8U}) {
        play({.board = {.workers = workers}, .clients = 3});
    }
}

TEST_CASE("Board: eight slots are enough for any number of tasks", "[board]") {
    play({.board = {.workers = 4, .slots = 8}, .clients = 3});
    play(
        {.board = {.workers = 4, .slots = 8, .policy = {.pauses = 0, .yields = 0}},
         .clients = 3}
    );
}

TEST_CASE("Board: workers beyond the first 64 share the work", "[board]") {
    play({.board = sleepy(70), .least_tasks = 5'000});
}

// SPDX-License-Identifier: BSL-1.0
// Barrier: rounds, actions, and parties that die or stop.
#include "mp/barrier.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/soon.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::soon;

namespace {

constexpr int was_broken = 7;

int wait_at(mp::Barrier& barrier) {
    try {
        barrier.wait(30s);
        return 0;
    } catch (const mp::BrokenBarrierError&) {
        return was_broken;
    }
}

pid_t waiting_child(mp::Barrier& barrier) {
    const int before = barrier.n_waiting();
    const pid_t child = test::fork_child([&] { return wait_at(barrier); });
    REQUIRE(soon([&] { return barrier.n_waiting() == before + 1; }));
    return child;
}

void fail() {
    throw std::runtime_error("the action failed");
}

void stop() {
    ::raise(SIGSTOP);
}

[[noreturn]] void die() {
    ::raise(SIGKILL);
    ::_exit(1);
}

}  // namespace

TEST_CASE("Barrier: refuses what is no number of parties", "[barrier]") {
    CHECK_THROWS_AS(mp::Barrier(0), std::invalid_argument);
    CHECK_THROWS_AS(mp::Barrier(-3), std::invalid_argument);
    const mp::Barrier barrier(3);
    CHECK(barrier.parties() == 3);
    CHECK(barrier.n_waiting() == 0);
    CHECK_THROWS_AS(mp::dumps(barrier), mp::StateError);
}

TEST_CASE("Barrier: a party that is killed breaks it for the others", "[barrier]") {
    mp::Barrier barrier(3);
    const pid_t victim = waiting_child(barrier);
    const pid_t other = waiting_child(barrier);
    ::kill(victim, SIGKILL);
    test::exit_status(victim);
    CHECK(test::exit_status(other) == was_broken);
    CHECK(barrier.broken());
    CHECK_THROWS_AS(barrier.wait(), mp::BrokenBarrierError);
    barrier.reset();
    CHECK_FALSE(barrier.broken());
    const pid_t one = waiting_child(barrier);
    const pid_t two = waiting_child(barrier);
    CHECK(wait_at(barrier) == 0);
    CHECK(test::exit_status(one) == 0);
    CHECK(test::exit_status(two) == 0);
}

TEST_CASE("Barrier: a dead party is seen by who comes last", "[barrier]") {
    mp::Barrier barrier(2);
    const pid_t victim = waiting_child(barrier);
    ::kill(victim, SIGKILL);
    test::exit_status(victim);
    CHECK_THROWS_AS(barrier.wait(30s), mp::BrokenBarrierError);
}

TEST_CASE("Barrier: an action that throws breaks it", "[barrier]") {
    mp::Barrier barrier({.parties = 2, .action = mp::call(fail)});
    const pid_t other = waiting_child(barrier);
    CHECK_THROWS_AS(barrier.wait(), std::runtime_error);
    CHECK(test::exit_status(other) == was_broken);
    CHECK(barrier.broken());
}

TEST_CASE("Barrier: a process that dies in the action breaks it", "[barrier]") {
    mp::Barrier barrier({.parties = 2, .action = mp::call(die)});
    const pid_t other = waiting_child(barrier);
    const pid_t last = test::fork_child([&] { return wait_at(barrier); });
    CHECK(test::exit_status(last) == -SIGKILL);
    CHECK(test::exit_status(other) == was_broken);
}

TEST_CASE("Barrier: a stopped party is not dead", "[barrier]") {
    mp::Barrier barrier(2);
    const pid_t stopped = waiting_child(barrier);
    ::kill(stopped, SIGSTOP);
    CHECK(wait_at(barrier) == 0);
    // It has not left its place yet; others need not wait for that.
    const pid_t one = waiting_child(barrier);
    CHECK(wait_at(barrier) == 0);
    CHECK(test::exit_status(one) == 0);
    ::kill(stopped, SIGCONT);
    CHECK(test::exit_status(stopped) == 0);
}

TEST_CASE(
    "Barrier: a process stopped in the action holds nobody up for ever", "[barrier]"
) {
    mp::Barrier barrier({.parties = 2, .action = mp::call(stop)});
    const pid_t other = test::fork_child([&] {
        try {
            barrier.wait(2s);
            return 0;
        } catch (const mp::BrokenBarrierError&) {
            return was_broken;
        }
    });
    REQUIRE(soon([&] { return barrier.n_waiting() == 1; }));
    const pid_t last = test::fork_child([&] { return wait_at(barrier); });
    int status = 0;
    REQUIRE(::waitpid(last, &status, WUNTRACED) == last);
    CHECK(test::exit_status(other) == was_broken);
    CHECK(barrier.broken());
    ::kill(last, SIGKILL);
    test::exit_status(last);
    barrier.reset();
    CHECK_FALSE(barrier.broken());
}

TEST_CASE("Barrier: more threads than parties go through in rounds", "[barrier]") {
    mp::Barrier barrier(3);
    std::atomic<int> passed{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 30; ++i) {
        threads.emplace_back([&] {
            barrier.wait();
            ++passed;
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(passed == 30);
    CHECK(barrier.n_waiting() == 0);
}

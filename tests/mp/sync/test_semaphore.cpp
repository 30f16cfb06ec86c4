// SPDX-License-Identifier: BSL-1.0
// Semaphore and BoundedSemaphore: tokens, and processes that die with them.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/semaphore.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/soon.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::soon;

namespace {

// A child that takes so many tokens, and is killed with them.
void die_with(mp::Semaphore semaphore, int tokens) {
    const int before = semaphore.get_value();
    const pid_t child = test::fork_child([&]() -> int {
        for (int i = 0; i < tokens; ++i) {
            semaphore.acquire();
        }
        for (;;) {
            ::pause();
        }
    });
    REQUIRE(soon([&] { return semaphore.get_value() == before - tokens; }));
    ::kill(child, SIGKILL);
    test::exit_status(child);
}

}  // namespace

TEST_CASE("Semaphore: refuses values that cannot be", "[semaphore]") {
    CHECK_THROWS_AS(mp::Semaphore(-1), std::system_error);
    CHECK_THROWS_AS(mp::BoundedSemaphore(-1), std::system_error);
    CHECK_THROWS_AS(
        mp::Semaphore({.value = 1 << 20, .owned = true}), std::system_error
    );
    mp::Semaphore most(std::numeric_limits<int>::max());
    CHECK(most.get_value() == std::numeric_limits<int>::max());
    CHECK_THROWS_AS(most.release(), std::overflow_error);
    CHECK_THROWS_AS(most.release(0), std::invalid_argument);
    // Too many to keep a ledger of.
    CHECK(mp::BoundedSemaphore(1 << 21).get_value() == 1 << 21);
    CHECK_THROWS_AS(mp::dumps(most), mp::StateError);
}

TEST_CASE("Semaphore: several tokens at once", "[semaphore]") {
    for (const bool owned : {false, true}) {
        mp::Semaphore sem({.value = 0, .owned = owned});
        sem.release(5000);
        CHECK(sem.get_value() == 5000);
        for (int i = 0; i < 5000; ++i) {
            REQUIRE(sem.acquire(0s));
        }
        CHECK_FALSE(sem.acquire(0s));
    }
}

TEST_CASE(
    "Semaphore: a process takes more tokens than there are, and another gives them",
    "[semaphore]"
) {
    constexpr int most = (1 << 20) - 1;
    mp::Semaphore sem({.value = most, .owned = true});
    const auto take_all = [&] {
        int taken = 0;
        while (taken < most && sem.acquire(0s)) {
            ++taken;
        }
        return taken;
    };
    CHECK(take_all() == most);
    CHECK(test::run_in_fork([&] {
              sem.release(most);
              return 0;
          }) == 0);
    CHECK(take_all() == most);
    CHECK_FALSE(sem.acquire(10ms));
}

TEST_CASE("Semaphore: every token finds a waiter", "[semaphore]") {
    for (const bool owned : {false, true}) {
        mp::Semaphore sem({.value = 0, .owned = owned});
        std::atomic<int> got{0};
        std::vector<std::thread> waiters;
        for (int i = 0; i < 6; ++i) {
            waiters.emplace_back([&] {
                sem.acquire();
                ++got;
            });
        }
        sem.release();
        CHECK(soon([&] { return got == 1; }));
        sem.release(2);
        CHECK(soon([&] { return got == 3; }));
        sem.release();
        sem.release();
        sem.release();
        for (auto& waiter : waiters) {
            waiter.join();
        }
        CHECK(sem.get_value() == 0);
    }
}

TEST_CASE("BoundedSemaphore: the tokens of a dead process come back", "[semaphore]") {
    mp::BoundedSemaphore sem(3);
    die_with(sem, 2);
    CHECK(sem.get_value() == 1);
    for (int i = 0; i < 3; ++i) {
        CHECK(sem.acquire(5s));
    }
    CHECK_FALSE(sem.acquire(0s));
    sem.release(3);
    CHECK_THROWS_AS(sem.release(), std::invalid_argument);
}

TEST_CASE("BoundedSemaphore: a waiter gets a dead process's token", "[semaphore]") {
    mp::BoundedSemaphore sem(1);
    const pid_t child = test::fork_child([&]() -> int {
        sem.acquire();
        for (;;) {
            ::pause();
        }
    });
    REQUIRE(soon([&] { return sem.get_value() == 0; }));
    std::thread killer([&] {
        ::kill(child, SIGKILL);
        test::exit_status(child);
    });
    CHECK(sem.acquire(10s));
    killer.join();
    sem.release();
}

TEST_CASE(
    "BoundedSemaphore: a process with a dead one's index starts anew", "[semaphore]"
) {
    mp::BoundedSemaphore sem(4);
    for (int round = 0; round < 20; ++round) {
        die_with(sem, 1);
        // The next child gets the index, and the tokens are free again.
        CHECK(test::run_in_fork([&] {
                  for (int i = 0; i < 4; ++i) {
                      if (!sem.acquire(10s)) {
                          return 1;
                      }
                  }
                  sem.release(4);
                  return 0;
              }) == 0);
    }
    CHECK(sem.get_value() == 4);
}

TEST_CASE("Semaphore: a signal keeps its count when processes die", "[semaphore]") {
    mp::Semaphore sem(3);
    die_with(sem, 2);
    CHECK(sem.acquire(0s));
    CHECK_FALSE(sem.acquire(100ms));
}

TEST_CASE("Semaphore: lockable for std", "[semaphore]") {
    mp::Semaphore sem(1);
    {
        const std::unique_lock held(sem);
        CHECK(sem.get_value() == 0);
        CHECK_FALSE(sem.try_lock());
    }
    CHECK(sem.get_value() == 1);
}

// SPDX-License-Identifier: BSL-1.0
// Event: set, cleared, and waited for.
#include "mp/errors.hpp"
#include "mp/event.hpp"
#include "mp/reduction.hpp"
#include "mp/semaphore.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

TEST_CASE("Event: stays set when the process that set it is killed", "[event]") {
    mp::Event event;
    const int status = test::run_in_fork([&] {
        event.set();
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(status == -SIGKILL);
    CHECK(event.is_set());
    CHECK(event.wait(0s));
}

TEST_CASE("Event: who waited gets true although it was cleared at once", "[event]") {
    mp::Event event;
    mp::Semaphore ready(0);
    mp::Semaphore next(0);
    const pid_t waiter = test::fork_child([&] {
        for (int i = 0; i < 200; ++i) {
            // The wait may begin after set() and clear(): then the next one is its own.
            ready.release();
            while (!event.wait(1ms)) {
            }
            next.release();
        }
        return 0;
    });
    for (int i = 0; i < 200; ++i) {
        REQUIRE(ready.acquire(20s));
        do {
            event.set();
            event.clear();
        } while (!next.acquire(1ms));
    }
    CHECK(test::exit_status(waiter) == 0);
}

TEST_CASE("Event: wakes all who wait", "[event]") {
    mp::Event event;
    std::vector<std::thread> waiters;
    std::atomic<int> woken{0};
    for (int i = 0; i < 8; ++i) {
        waiters.emplace_back([&] { woken += event.wait(30s) ? 1 : 0; });
    }
    event.set();
    for (auto& waiter : waiters) {
        waiter.join();
    }
    CHECK(woken == 8);
}

TEST_CASE("Event: handles are one event", "[event]") {
    mp::Event a;
    const mp::Event b = a;
    CHECK(a == b);
    a.set();
    a.set();
    CHECK(b.is_set());
    const mp::Event c = std::move(a);
    CHECK_THROWS_AS(a.set(), mp::StateError);
    CHECK_THROWS_AS(mp::dumps(c), mp::StateError);
}

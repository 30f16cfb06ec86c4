// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two operations of BoundedSemaphore and Semaphore.
#include "mp/detail/shared_block.hpp"
#include "mp/semaphore.hpp"

#include "faults/kill_runs.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <random>
#include <string>

using namespace std::chrono_literals;
using mp::detail::SharedBlock;
using test::at_each_place;
using test::leave;
using test::linger;
using test::Place;
using test::Run;
using test::Shared;
using test::stuck;
using test::too_long;

namespace {

constexpr int tokens = 2;

void use_pool(
    mp::BoundedSemaphore pool, SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        if (!pool.acquire(too_long)) {
            leave(stuck);
        }
        ++shared.rounds;
        linger(random);
        pool.release();
    }
}

constexpr std::array ledger_places{
    Place{"ledger: before the booking", ""},
    Place{"ledger: booked", ""},
    Place{"ledger: before the change", ""},
    Place{"ledger: changed", ""},
    Place{"ledger: change booked", ""},
    Place{"ledger: before the giving back", "ledger: change booked"},
    Place{"ledger: given back", "ledger: change booked"},
    Place{"ledger: predecessor found", "ledger: change booked"},
    Place{"ledger: before the sleep", ""},
    Place{"ledger: after the sleep", ""},
    Place{"ledger: given", ""},
    Place{"ledger: rung", ""},
};

void signal_and_wait(
    mp::Semaphore signal, SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        if (random() % 2 == 0) {
            ++shared.made;
            signal.release();
        } else if (signal.acquire(1ms)) {
            ++shared.used;
        }
        linger(random);
    }
}

constexpr std::array semaphore_places{
    Place{"semaphore: before the taking", ""},
    Place{"semaphore: taken", ""},
    Place{"semaphore: before the sleep", ""},
    Place{"semaphore: after the sleep", ""},
    Place{"semaphore: before the giving", ""},
    Place{"semaphore: given", ""},
};

}  // namespace

TEST_CASE(
    "O14: BoundedSemaphore: a process may be killed anywhere",
    "[faults][semaphore][slow][no-tsan]"
) {
    at_each_place(ledger_places, [](Run& run, const char* point, const char* first) {
        mp::BoundedSemaphore pool(tokens);
        run.kill_at(point, first, use_pool, pool);
        CHECK(run.shared().rounds > 0);
        // Everybody is gone: all tokens are here, and no more than all.
        for (int i = 0; i < tokens; ++i) {
            CHECK(pool.acquire(too_long));
        }
        CHECK(pool.get_value() == 0);
        CHECK_FALSE(pool.acquire(0s));
    });
}

TEST_CASE(
    "O14: Semaphore: a process may be killed anywhere",
    "[faults][semaphore][slow][no-tsan]"
) {
    at_each_place(semaphore_places, [](Run& run, const char* point, const char* first) {
        mp::Semaphore signal(0);
        run.kill_at(point, first, signal_and_wait, signal);
        const Shared& shared = run.shared();
        // A killed process had counted at most one token that it did not give, or not
        // yet one that it took.
        const int left = shared.made - shared.used;
        CHECK(signal.get_value() <= left);
        CHECK(signal.get_value() >= left - run.deaths());
    });
}

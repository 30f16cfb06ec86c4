// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two operations of Condition.
#include "mp/condition.hpp"
#include "mp/detail/shared_block.hpp"

#include "faults/kill_runs.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <random>
#include <string>
#include <thread>

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

// Items for the process that comes. Both kinds of users may be killed.
void make_or_take(
    mp::Condition cond, SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        if (!cond.acquire(too_long)) {
            leave(stuck);
        }
        if (random() % 2 == 0) {
            ++shared.a;
            cond.notify();
        } else if (cond.wait_for(
                       [&] { return shared.a > 0 || shared.stop; }, too_long
                   )) {
            if (!shared.stop) {
                --shared.a;
            }
            ++shared.rounds;
        } else if (!shared.stop) {
            leave(stuck);
        }
        cond.release();
        linger(random);
    }
}

constexpr std::array condition_places{
    Place{"condition: before the place", ""},
    Place{"condition: place taken", ""},
    Place{"condition: lock released", ""},
    Place{"condition: notice seen", ""},
    Place{"watchers: place taken", ""},
    Place{"watchers: place left", ""},
    Place{"condition: after the sleep", ""},
    Place{"condition: notice taken over", "condition: notice seen"},
    Place{"condition: orphan freed", "condition: notice seen"},
    Place{"condition: before the notice", ""},
    Place{"condition: notice given", ""},
    Place{"condition: waiter woken", ""},
    Place{"condition: before the lock", ""},
    Place{"condition: lock taken again", ""},
    Place{"condition: place left", ""},
};

}  // namespace

TEST_CASE(
    "O15 O16: Condition: a process may be killed anywhere",
    "[faults][condition][slow][no-tsan][no-asan]"
) {
    at_each_place(condition_places, [](Run& run, const char* point, const char* first) {
        mp::Condition cond;
        // Makes sure that there is always something to come: the others may all wait.
        std::thread maker([&] {
            while (!run.shared().stop) {
                cond.acquire();
                if (run.shared().a < 3) {
                    ++run.shared().a;
                    cond.notify();
                }
                cond.release();
                std::this_thread::yield();
            }
            cond.acquire();
            cond.notify_all();
            cond.release();
        });
        run.set_max_passes(3);
        run.kill_at(point, first, make_or_take, cond);
        maker.join();
        CHECK(run.shared().rounds > 0);
        CHECK(cond.waiting() == 0);
    });
}

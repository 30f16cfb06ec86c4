// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two operations of Barrier.
#include "mp/barrier.hpp"
#include "mp/call.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/errors.hpp"

#include "faults/kill_runs.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/start_methods.hpp"

#include <array>
#include <chrono>
#include <string>

using namespace std::chrono_literals;
using mp::detail::SharedBlock;
using test::kill_seeds;
using test::Run;
using test::Shared;
using test::too_long;

namespace {

void do_nothing() {}

void go_round(mp::Barrier barrier, SharedBlock block, std::string point, int passes) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    const bool aborts = point == "barrier: marked broken";
    try {
        for (int round = 0; !shared.stop; ++round) {
            if (aborts && round == 3) {
                barrier.abort();
            }
            barrier.wait(too_long);
            ++shared.rounds;
        }
    } catch (const mp::BrokenBarrierError&) {
        // Also after `too_long`: that is for the test to see.
    }
}

constexpr std::array barrier_places{
    "barrier: before the arrival",
    "barrier: arriving",
    "barrier: before the place",
    "barrier: place taken",
    "barrier: after the action",
    "barrier: before the end",
    "barrier: round ended",
    "barrier: party told",
    "barrier: woken",
    "barrier: marked broken",
    "barrier: before the leaving",
    "barrier: before the sleep",
    "barrier: after the sleep",
};

}  // namespace

TEST_CASE(
    "O17: Barrier: a process may be killed anywhere", "[faults][barrier][slow][no-tsan]"
) {
    const auto context = each_start_method();
    for (const char* const point : barrier_places) {
        for (int seed = 0; seed < kill_seeds(); ++seed) {
            INFO(point << ", seed " << seed);
            Run run(context, seed);
            mp::Barrier barrier({.parties = 2, .action = mp::call(do_nothing)});
            mp::Process other = run.start(go_round, barrier, "", 0);
            mp::Process victim = run.start(
                go_round, barrier, point, 1 + static_cast<int>(run.random(3))
            );
            CHECK(victim.join(too_long + 10s));
            run.shared().stop = true;
            // If the victim was no party yet when it died, the other one waits for one.
            if (!other.join(500ms)) {
                try {
                    barrier.wait(1s);
                } catch (const mp::BrokenBarrierError&) {
                }
            }
            const mp::Deadline soon_enough(too_long / 2);
            CHECK(other.join(soon_enough.remaining()));
            CHECK(other.exitcode() == 0);
            barrier.reset();
            CHECK(barrier.n_waiting() == 0);
            CHECK_FALSE(barrier.broken());
        }
    }
}

// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two operations of Event.
#include "mp/event.hpp"

#include "faults/kill_runs.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using test::leave;
using test::stuck;
using test::too_long;

namespace {

void wait_for_it(mp::Event event) {
    leave(event.wait(too_long) ? 0 : stuck);
}

void set_it(mp::Event event, std::string point) {
    test::arm({point});
    event.set();
}

bool is_asleep(pid_t process) {
    test::ProcStat stat;
    return test::read_stat(process, stat) && stat.state == 'S';
}

}  // namespace

TEST_CASE("O19: Event: its setter is killed anywhere", "[faults][event]") {
    const auto context = each_start_method();
    const std::string point = GENERATE("event: set", "event: woken");
    CAPTURE(point);
    bool killed = false;
    // A waiter that did not sleep yet is none that is woken: then once more.
    for (int round = 0; round < 20 && !killed; ++round) {
        const mp::Event event;
        mp::Process waiter = context.Process(wait_for_it, event);
        waiter.start();
        CHECK(test::soon([&] { return is_asleep(waiter.pid()); }));
        mp::Process setter = context.Process(set_it, event, point);
        setter.start();
        CHECK(setter.join(30s));
        killed = setter.exitcode() == -SIGKILL;
        CHECK((killed || setter.exitcode() == 0));
        CHECK(event.is_set());
        CHECK(waiter.join(too_long + 10s));
        CHECK(waiter.exitcode() == 0);
    }
    CHECK(killed);
}

// SPDX-License-Identifier: BSL-1.0
// The number of CPUs that a thread may use.
#include "mp/cpu_count.hpp"

#include "support/catch.hpp"

#include <sched.h>

TEST_CASE("usable_cpu_count: follows the affinity of the thread", "[cpu_count]") {
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    CHECK(mp::usable_cpu_count() >= 1);
    CHECK(mp::usable_cpu_count() <= mp::cpu_count());
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    const int usable = mp::usable_cpu_count();
    ::sched_setaffinity(0, sizeof before, &before);
    CHECK(usable == 1);
}

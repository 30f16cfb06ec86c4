// SPDX-License-Identifier: BSL-1.0
// The number of CPUs that a thread may use.
#include "mp/context.hpp"
#include "mp/cpu_count.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <sched.h>

#include <stdlib.h>
#include <string>

namespace {

/// The environment variable, while this lives.
class Cap {
public:
    explicit Cap(const std::string& text) { set(text); }

    ~Cap() { unsetenv("LIBMP_MAX_CPU_COUNT"); }

    Cap(const Cap&) = delete;
    Cap& operator=(const Cap&) = delete;

    void set(const std::string& text) {
        setenv("LIBMP_MAX_CPU_COUNT", text.c_str(), 1);
    }
};

void exit_with_count() {
    throw mp::SystemExit(mp::usable_cpu_count());
}

}  // namespace

TEST_CASE(
    "loky::cpu_count::affinity: a program that began with one processor counts one",
    "[cpu_count]"
) {
    auto process = each_start_method().Process(exit_with_count);
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
    mp::stop_helpers();  // a fork server began with all of them
    process.start();
    ::sched_setaffinity(0, sizeof before, &before);
    process.join();  // before its server ends, which alone learns of its exit code
    mp::stop_helpers();
    CHECK(process.exitcode() == 1);
}

TEST_CASE(
    "loky::cpu_count::env_cap: LIBMP_MAX_CPU_COUNT makes it less, and never more",
    "[cpu_count]"
) {
    const int all = mp::usable_cpu_count();
    Cap cap("1");
    CHECK(mp::usable_cpu_count() == 1);
    cap.set(std::to_string(all));
    CHECK(mp::usable_cpu_count() == all);
    cap.set(std::to_string(all - 1));
    CHECK(mp::usable_cpu_count() == (all > 1 ? all - 1 : all));
    for (const char* const text :
         {"100000", "0", "-1", "", " 1", "1 ", "1x", "one", "99999999999999999999"}) {
        CAPTURE(text);
        cap.set(text);
        CHECK(mp::usable_cpu_count() == all);
    }
}

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

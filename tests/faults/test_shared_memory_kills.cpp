// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two steps of making and removing named memory, for each start
// method: no name is left, and nobody finds half a segment.
// The library's sources are linked with their failpoints.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <system_error>

namespace {

constexpr std::size_t size = 4096;

void fill(std::span<std::byte> memory) {
    std::fill(memory.begin(), memory.end(), std::byte{7});
}

void make_and_remove(const std::string& name, const std::string& point, int passes) {
    test::arm({point, passes});
    for (;;) {
        mp::SharedMemory memory({.name = name, .create = true, .size = size}, fill);
        memory.unlink();
    }
}

/// As long as the victim lives: what is found is whole.
bool look_for(const std::string& name) {
    try {
        const mp::SharedMemory found({.name = name});
        const auto memory = found.buf();
        return memory.size() == size &&
               std::count(memory.begin(), memory.end(), std::byte{7}) == size;
    } catch (const std::system_error& error) {
        return error.code() == std::errc::no_such_file_or_directory;
    }
}

}  // namespace

TEST_CASE(
    "Q1 Q8: SharedMemory: its maker is killed at any step", "[faults][shared_memory]"
) {
    const mp::Context ctx = each_start_method();
    const std::string point = GENERATE(
        "memory: made", "memory: tracked", "memory: named", "memory: unlinked"
    );
    CAPTURE(point);
    mp::resource_tracker::ensure_running();
    for (const int passes : {1, 2, 50}) {
        const std::string name = "mp-kill-" + std::to_string(::getpid());
        auto victim = ctx.Process(make_and_remove, name, point, passes);
        victim.start();
        bool whole = true;
        while (victim.is_alive()) {
            whole = look_for(name) && whole;
        }
        victim.join();
        CHECK(whole);
        CHECK(victim.exitcode() == -SIGKILL);
        CHECK(test::wait_until_gone(name));
        mp::SharedMemory next({.name = name, .create = true, .size = 1});
        next.unlink();
    }
}

// SPDX-License-Identifier: BSL-1.0
// What SharedMemory does about a random name that is taken, by the row of the
// conformance table. This program has a getrandom() of its own.
#include "mp/shared_memory.hpp"

#include "support/catch.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace {

// What getrandom() below answers, first; then the kernel does.
std::vector<std::string> forced_random;

}  // namespace

extern "C" ssize_t getrandom(void* buffer, size_t size, unsigned flags) {
    if (!forced_random.empty() && forced_random.front().size() == size) {
        std::memcpy(buffer, forced_random.front().data(), size);
        forced_random.erase(forced_random.begin());
        return static_cast<ssize_t>(size);
    }
    return ::syscall(SYS_getrandom, buffer, size, flags);
}

TEST_CASE(
    "_TestSharedMemory.test_shared_memory_recreate: a random name that is taken",
    "[shared_memory]"
) {
    forced_random = {std::string(4, 'a'), std::string(4, 'a'), std::string(4, 'b')};
    mp::SharedMemory first_one({.create = true, .size = 1});
    mp::SharedMemory second_one({.create = true, .size = 1});
    CHECK(first_one.name() == "psm_61616161");
    CHECK(second_one.name() == "psm_62626262");
    CHECK(forced_random.empty());
    first_one.unlink();
    second_one.unlink();
}

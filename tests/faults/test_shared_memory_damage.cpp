// SPDX-License-Identifier: BSL-1.0
// Shared memory that another process damages: shrinking it is forbidden, and a list
// whose bytes are wrong is an error.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/proc.hpp"
#include "support/shareable_list.hpp"
#include "support/text_of.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

using namespace mp;
using test::bytes_of;
using test::List;

namespace {

void put_number(const ShareableList& list, std::size_t at, std::int64_t value) {
    std::memcpy(list.shm().buf().data() + at, &value, sizeof value);
}

}  // namespace

TEST_CASE("Q5: nobody can shrink memory without a name under another", "[faults]") {
    mp::Queue<int> queue;
    queue.put(1);
    mp::Value<int> value(2);
    int tried = 0;
    test::for_each_entry("/proc/self/fd", [&](const char* name, int) {
        char target[64] = "";
        const std::string path = std::string("/proc/self/fd/") + name;
        if (::readlink(path.c_str(), target, sizeof target - 1) > 0 &&
            std::string(target).find("/memfd:mp-") == 0) {
            ++tried;
            CHECK(::ftruncate(std::atoi(name), 0) != 0);
        }
    });
    CHECK(tried >= 2);
    CHECK(queue.get() == 1);
    CHECK(value.get() == 2);
}

TEST_CASE(
    "Q6: ShareableList: damaged memory is an error, not a crash", "[shareable_list]"
) {
    SECTION("no list at all") {
        SharedMemory memory({.create = true, .size = 15});
        CHECK_THROWS_AS(ShareableList({.name = memory.name()}), std::invalid_argument);
        memory.unlink();
    }
    SECTION("too small for its items by a byte") {
        // Found by fuzzing: the end of the data was read behind the memory.
        SharedMemory memory({.create = true, .size = 8 * 3 + 8});
        const std::int64_t one = 1;
        std::memcpy(memory.buf().data(), &one, sizeof one);
        CHECK_THROWS_AS(ShareableList({.name = memory.name()}), std::invalid_argument);
        memory.unlink();
    }
    SECTION("a number of items that is not there") {
        List list{1, 2};
        for (const std::int64_t count :
             {std::int64_t{-1}, std::int64_t{4}, std::int64_t{1} << 60U}) {
            put_number(list, 0, count);
            CHECK_THROWS_AS(
                ShareableList({.name = list.shm().name()}), std::invalid_argument
            );
            CHECK(list.at<int>(1) == 2);
        }
    }
    SECTION("an item outside") {
        List list{1, 2};
        for (const std::int64_t begin :
             {std::int64_t{-8}, std::int64_t{17}, std::int64_t{1} << 62U}) {
            put_number(list, 16, begin);
            CHECK_THROWS_AS(list[1], std::invalid_argument);
            CHECK_THROWS_AS(list.set(1, 1), std::invalid_argument);
        }
    }
    SECTION("an item without room") {
        List list{1, 2};
        put_number(list, 16, 12);
        CHECK_THROWS_AS(list[1], std::invalid_argument);
        CHECK_THROWS_AS(list.set(1, 1), std::invalid_argument);
    }
    SECTION("formats that are none") {
        List list{"text"};
        for (const char* format : {"9s", "99999999", "s", "-1s", "8s8s", "i", ""}) {
            char field[8] = {};
            std::memcpy(field, format, std::strlen(format));
            std::memcpy(list.shm().buf().data() + 32, field, sizeof field);
            put_number(list, 32, 0);
            std::memcpy(list.shm().buf().data() + 32, field, sizeof field);
            CHECK_THROWS_AS(list[0], std::invalid_argument);
        }
    }
    SECTION("any bytes") {
        std::mt19937 random(1);
        List list{1, "text", nullptr, bytes_of("raw"), 2.5};
        const auto memory = list.shm().buf();
        const std::vector<std::byte> good(memory.begin(), memory.end());
        for (int round = 0; round < 20000; ++round) {
            for (int i = 0; i < 3; ++i) {
                memory[random() % memory.size()] = static_cast<std::byte>(random());
            }
            for (int i = 0; i < 5; ++i) {
                try {
                    list.set(i, list[i]);
                } catch (const std::invalid_argument&) {
                    // Said so.
                }
            }
            if (round % 5 == 0) {
                std::copy(good.begin(), good.end(), memory.begin());
            }
        }
        std::copy(good.begin(), good.end(), memory.begin());
    }
}

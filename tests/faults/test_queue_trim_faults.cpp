// SPDX-License-Identifier: BSL-1.0
// A process is killed while it gives an empty queue's memory back: the queue goes on,
// and the next one gives back what is left. The library's sources are linked with their
// failpoints.
#include "mp/queue.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/fork_child.hpp"
#include "support/memory_of.hpp"

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t megabyte = std::uint64_t{1} << 20U;

std::string item_of(int number) {
    // Every other one is a large one.
    const std::size_t size = number % 2 == 0 ? 30'000 : megabyte;
    return std::string(size, static_cast<char>('a' + number % 26));
}

constexpr int count = 40;

void put_all(mp::Queue<std::string>& queue) {
    for (int i = 0; i < count; ++i) {
        queue.put(item_of(i), 20s);
    }
}

void get_all(mp::Queue<std::string>& queue) {
    for (int i = 0; i < count; ++i) {
        if (queue.get(20s) != item_of(i)) {
            throw std::runtime_error("another item");
        }
    }
}

}  // namespace

TEST_CASE(
    "O28: a consumer killed while it gives memory back", "[faults][queue][slow]"
) {
    const std::string point = GENERATE(
        as<std::string>(),
        "trim: locked",
        "trim: chunks given back",
        "trim: before the commit",
        "trim: committed",
        "trim: area given back"
    );
    const int passes = GENERATE(1, 2);
    mp::Queue<std::string> queue({.trim_threshold = 0});
    put_all(queue);
    const int status = test::run_in_fork([&] {
        test::arm({point, passes});
        get_all(queue);
        queue.put("", 20s);
        queue.get(20s);
        return 0;
    });
    REQUIRE((status == -SIGKILL || passes > 1));
    // All of them were taken before; now the next one begins with what it left.
    REQUIRE(queue.qsize() == 0);
    for (int round = 0; round < 2; ++round) {
        put_all(queue);
        get_all(queue);
        CHECK(test::memory_of("mp-queue") < 3 * megabyte);
    }
}

TEST_CASE(
    "O28: a consumer waiting gives back what a killed one left", "[faults][queue]"
) {
    mp::Queue<std::string> queue;
    put_all(queue);
    const int status = test::run_in_fork([&] {
        test::arm({"trim: locked"});
        get_all(queue);
        return 0;
    });
    REQUIRE(status == -SIGKILL);
    REQUIRE(test::memory_of("mp-queue") > 19 * megabyte);
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    CHECK(test::memory_of("mp-queue") < 18 * megabyte);
}

TEST_CASE("O28: a producer killed while it gives the front back", "[faults][queue]") {
    mp::Queue<std::string> queue;
    for (int i = 0; i < 200; ++i) {
        queue.put(item_of(1));
    }
    for (int i = 0; i < 150; ++i) {
        queue.get();
    }
    const int status = test::run_in_fork([&] {
        test::arm({"trim: front given back"});
        queue.put(item_of(3), 20s);
        return 0;
    });
    REQUIRE(status == -SIGKILL);
    for (int i = 0; i < 50; ++i) {
        REQUIRE(queue.get() == item_of(1));
    }
    CHECK(queue.get() == item_of(3));
    CHECK(test::memory_of("mp-queue") < 18 * megabyte);
}

TEST_CASE("O28: a producer killed while it gives memory back", "[faults][queue]") {
    const std::string point =
        GENERATE(as<std::string>(), "trim: area given back", "put: before the commit");
    mp::Queue<std::string> queue({.trim_threshold = 2048 * megabyte});
    for (int i = 0; i < 150; ++i) {
        queue.put(item_of(1));
    }
    for (int i = 0; i < 150; ++i) {
        queue.get();
    }
    // The next put begins at the front of the area.
    const int status = test::run_in_fork([&] {
        test::arm({point});
        queue.put(item_of(1), 20s);
        return 0;
    });
    REQUIRE(status == -SIGKILL);
    while (queue.qsize() > 0) {
        CHECK(queue.get() == item_of(1));
    }
    put_all(queue);
    get_all(queue);
    CHECK(queue.qsize() == 0);
}

TEST_CASE("O28: memory of a producer killed in its item", "[faults][queue]") {
    mp::Queue<std::string> queue;
    const int status = test::run_in_fork([&] {
        test::arm({"put: filled a large block"});
        queue.put(std::string(100 * megabyte, 'x'), 20s);
        return 0;
    });
    REQUIRE(status == -SIGKILL);
    REQUIRE(test::memory_of("mp-queue") > 90 * megabyte);
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    queue.put(item_of(1));
    CHECK(queue.get() == item_of(1));
    CHECK(test::memory_of("mp-queue") < 18 * megabyte);
}

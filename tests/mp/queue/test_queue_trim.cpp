// SPDX-License-Identifier: BSL-1.0
// What a queue reserves, and that it gives memory back when it is empty.
#include "mp/queue.hpp"
#include "mp/simple_queue.hpp"

#include "support/catch.hpp"
#include "support/memory_of.hpp"
#include "support/start_methods.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

using test::memory_of;

namespace {

constexpr std::uint64_t megabyte = std::uint64_t{1} << 20U;

using Block = std::array<char, 1024>;

template <std::size_t size>
struct Struct {
    std::array<char, size> bytes;
};

/// Puts so many, and then takes them.
template <class T>
void fill_and_empty(mp::Queue<T> queue, int count) {
    for (int i = 0; i < count; ++i) {
        queue.put_nowait(T{});
    }
    REQUIRE(std::cmp_equal(queue.qsize(), count));
    for (int i = 0; i < count; ++i) {
        queue.get_nowait();
    }
}

void take(mp::Queue<Block> queue, int count) {
    for (int i = 0; i < count; ++i) {
        queue.get();
    }
}

}  // namespace

TEST_CASE("Queue: one of a few small items reserves little", "[queue]") {
    const mp::Queue<int> queue(100);
    CHECK(test::sizes_of("mp-queue").length < megabyte);
    const mp::Queue<Block> larger(100);
    CHECK(test::sizes_of("mp-queue").length < 2 * megabyte);
}

TEST_CASE("Queue: as many plain structs as maxsize fit", "[queue]") {
    fill_and_empty(mp::Queue<Struct<16>>(5000), 5000);
    fill_and_empty(mp::Queue<Struct<1000>>(300), 300);
    fill_and_empty(mp::Queue<std::array<Struct<8>, 20>>(300), 300);
    // Around the size from which on items stand in the area for large ones.
    fill_and_empty(mp::Queue<Struct<32'767>>(100), 100);
    fill_and_empty(mp::Queue<Struct<32'768>>(100), 100);
    fill_and_empty(mp::Queue<Struct<32'768>>(), 100);
    fill_and_empty(mp::Queue<Struct<32'769>>(), 100);
}

TEST_CASE("Queue: as many items as maxsize fit, of a known size", "[queue]") {
    const int count = GENERATE(1, 2, 100, 5000);
    mp::Queue<Block> queue(count);
    // Twice, and not from the front of a chunk.
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < count; ++i) {
            queue.put_nowait(Block{});
        }
        CHECK_THROWS_AS(queue.put_nowait(Block{}), mp::Full);
        for (int i = 0; i < count; ++i) {
            queue.get_nowait();
        }
    }
}

TEST_CASE("Queue: memory of a backlog goes with its last item", "[queue]") {
    const auto context = each_start_method();
    auto queue = context.Queue<Block>();
    constexpr int count = 60'000;
    for (int i = 0; i < count; ++i) {
        queue.put(Block{});
    }
    REQUIRE(memory_of("mp-queue") > 50 * megabyte);
    SECTION("taken here") {
        take(queue, count);
    }
    SECTION("taken by another process") {
        auto consumer = context.Process(take, queue, count);
        consumer.start();
        consumer.join();
        REQUIRE(consumer.exitcode() == 0);
    }
    CHECK(memory_of("mp-queue") < 18 * megabyte);
    // It is as good as new.
    queue.put(Block{'x'});
    CHECK(queue.get()[0] == 'x');
}

TEST_CASE("Queue: memory of large items goes with the last one", "[queue]") {
    mp::Queue<std::string> queue;
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 50; ++i) {
            queue.put(std::string(2 * megabyte, static_cast<char>('a' + i % 26)));
        }
        REQUIRE(memory_of("mp-queue") > 90 * megabyte);
        for (int i = 0; i < 50; ++i) {
            REQUIRE(queue.get().at(megabyte) == 'a' + i % 26);
        }
        CHECK(memory_of("mp-queue") < 18 * megabyte);
    }
}

TEST_CASE("Queue: trim_threshold says how much stays", "[queue]") {
    const std::uint64_t threshold = GENERATE(0U, 8U, 400U) * megabyte;
    mp::Queue<Block> queue({.trim_threshold = threshold});
    for (int i = 0; i < 60'000; ++i) {
        queue.put(Block{});
    }
    const std::uint64_t before = memory_of("mp-queue");
    take(queue, 60'000);
    const std::uint64_t after = memory_of("mp-queue");
    CHECK(after < threshold + megabyte + (threshold > before ? before : 0));
    CHECK(after >= std::min(threshold, before) / 2 - (threshold == 0 ? 0 : megabyte));
}

TEST_CASE("Queue: a long backlog of large items keeps what it needs", "[queue]") {
    // Where it begins again at the front, and where it never does.
    const std::uint64_t max_bytes = GENERATE(150U, 5000U) * megabyte;
    mp::Queue<std::string> queue({.max_bytes = max_bytes});
    const auto item = [](int number) {
        return std::string(4 * megabyte, static_cast<char>('a' + number % 26));
    };
    for (int i = 0; i < 20; ++i) {
        queue.put(item(i));
    }
    // Never empty, and far more goes through it than is in it.
    constexpr int more = 60;
    for (int i = 0; i < more; ++i) {
        queue.put(item(i + 20));
        REQUIRE(queue.get() == item(i));
    }
    CHECK(memory_of("mp-queue") < std::min(max_bytes + megabyte, 200 * megabyte));
    for (int i = 0; i < 20; ++i) {
        REQUIRE(queue.get() == item(i + more));
    }
    CHECK(memory_of("mp-queue") < 18 * megabyte);
}

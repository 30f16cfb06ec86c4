// SPDX-License-Identifier: BSL-1.0
// Queue: items, bounds, closing, shutting down, and its descriptor.
#include "mp/connection.hpp"
#include "mp/context.hpp"
#include "mp/queue.hpp"
#include "mp/serialization.hpp"
#include "mp/wait.hpp"

#include "support/catch.hpp"
#include "support/pattern.hpp"
#include "support/start_methods.hpp"

#include <poll.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::text_pattern;

namespace {

struct Job {
    int number = 0;
    std::string text;
    std::map<std::string, std::vector<double>> table;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& number& text& table;
    }

    friend bool operator==(const Job&, const Job&) = default;
};

void put_numbers(mp::Queue<int> queue, int first, int count) {
    for (int i = 0; i < count; ++i) {
        queue.put(first + i);
    }
}

// Sums up what comes until a negative number, and says so.
void sum_up(mp::Queue<int> numbers, mp::Queue<std::int64_t> sums) {
    std::int64_t sum = 0;
    for (int number = numbers.get(); number >= 0; number = numbers.get()) {
        sum += number;
    }
    sums.put(sum);
}

void echo(mp::Queue<std::string> in, mp::Queue<std::string> out) {
    for (std::string text = in.get(); !text.empty(); text = in.get()) {
        out.put(text);
    }
}

bool is_readable(int fd) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1;
}

}  // namespace

TEST_CASE("Queue: objects come out as they went in, first in, first out", "[queue]") {
    mp::Queue<Job> queue;
    std::vector<Job> jobs;
    for (int i = 0; i < 100; ++i) {
        jobs.push_back(
            {i, text_pattern(static_cast<std::size_t>(i) * 37), {{"x", {1.5}}}}
        );
        queue.put(jobs.back());
    }
    CHECK(queue.qsize() == 100);
    for (const Job& job : jobs) {
        CHECK(queue.get() == job);
    }
    CHECK(queue.empty());
}

TEST_CASE("Queue: items of any size arrive whole", "[queue]") {
    mp::Queue<std::string> queue;
    const std::vector<std::size_t> sizes{
        0,
        1,
        8,
        500,
        513,
        4096,
        32'000,
        32'760,
        32'768,
        32'769,
        65'536,
        200'000,
        1'000'000,
        5'000'000};
    for (std::uint32_t round = 0; round < 3; ++round) {
        for (const std::size_t size : sizes) {
            queue.put(text_pattern(size, round));
        }
        for (const std::size_t size : sizes) {
            REQUIRE(queue.get() == text_pattern(size, round));
        }
    }
}

TEST_CASE("Queue: processes on both ends, whatever starts them", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::Queue<int> numbers(10);
    mp::Queue<std::int64_t> sums;
    std::vector<mp::Process> producers;
    std::vector<mp::Process> consumers;
    for (int i = 0; i < 3; ++i) {
        producers.push_back(ctx.Process(put_numbers, numbers, i * 1000, 1000));
        consumers.push_back(ctx.Process(sum_up, numbers, sums));
    }
    for (int i = 0; i < 3; ++i) {
        producers[static_cast<std::size_t>(i)].start();
        consumers[static_cast<std::size_t>(i)].start();
    }
    for (auto& producer : producers) {
        REQUIRE(producer.join(60s));
    }
    for (int i = 0; i < 3; ++i) {
        numbers.put(-1);
    }
    std::int64_t sum = 0;
    for (int i = 0; i < 3; ++i) {
        sum += sums.get(60s);
    }
    CHECK(sum == 3000 * 2999 / 2);
    for (auto& consumer : consumers) {
        REQUIRE(consumer.join(60s));
        CHECK(consumer.exitcode() == 0);
    }
}

TEST_CASE("Queue: large items go there and back", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::Queue<std::string> there;
    mp::Queue<std::string> back;
    auto p = ctx.Process(echo, there, back);
    p.start();
    for (int i = 0; i < 20; ++i) {
        const std::string text =
            text_pattern(100'000 + static_cast<std::size_t>(i) * 3001);
        there.put(text);
        there.put("x");
        REQUIRE(back.get(60s) == text);
        REQUIRE(back.get(60s) == "x");
    }
    there.put("");
    CHECK(p.join(60s));
}

TEST_CASE("Queue: a bound holds, and waiting for room ends", "[queue]") {
    mp::Queue<int> queue({.maxsize = 2});
    queue.put(1);
    CHECK_FALSE(queue.full());
    queue.put(2);
    CHECK(queue.full());
    CHECK_THROWS_AS(queue.put_nowait(3), mp::Full);
    CHECK_THROWS_AS(queue.put(3, 30ms), mp::Full);
    CHECK(queue.qsize() == 2);
    std::thread taker([&] { CHECK(queue.get() == 1); });
    queue.put(3);
    taker.join();
    CHECK(queue.get_nowait() == 2);
    CHECK(queue.get_nowait() == 3);
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    CHECK_THROWS_AS(queue.get(30ms), mp::Empty);
}

TEST_CASE("Queue: max_bytes is a bound as well", "[queue]") {
    mp::Queue<std::string> queue({.max_bytes = 1U << 20U});
    const std::string text = text_pattern(100'000, 1);
    int put = 0;
    try {
        for (; put < 1000; ++put) {
            queue.put(text, 0s);
        }
    } catch (const mp::Full&) {
    }
    CHECK(put >= 5);
    CHECK(put <= 10);
    for (; put > 0; --put) {
        REQUIRE(queue.get_nowait() == text);
    }
    // What is taken makes room, and what could never fit is refused.
    for (int i = 0; i < 50; ++i) {
        queue.put(text, 0s);
        REQUIRE(queue.get_nowait() == text);
    }
    CHECK_THROWS_AS(queue.put(text_pattern(2U << 20U, 1)), std::invalid_argument);
    // Small items have a bound of their own.
    int small = 0;
    try {
        for (; small < 100'000; ++small) {
            queue.put("0123456789", 0s);
        }
    } catch (const mp::Full&) {
    }
    CHECK(small > 10'000);
    CHECK(small < 100'000);
}

TEST_CASE("Queue: an unbounded one grows, and gives the memory back", "[queue]") {
    mp::Queue<std::string> queue;
    const std::string text = text_pattern(1000, 3);
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 20'000; ++i) {
            queue.put_nowait(text);
        }
        CHECK(queue.qsize() == 20'000);
        for (int i = 0; i < 20'000; ++i) {
            REQUIRE(queue.get_nowait() == text);
        }
    }
    // Around and around the few chunks that are left.
    for (int i = 0; i < 50'000; ++i) {
        queue.put_nowait(text);
        REQUIRE(queue.get_nowait() == text);
    }
}

TEST_CASE("Queue: it travels only to a child that is being started", "[queue]") {
    mp::Queue<int> queue;
    CHECK_THROWS_AS(mp::dumps(queue), mp::StateError);
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(a.send(queue), mp::StateError);
}

TEST_CASE("Queue: shut down, it gives what is there and takes no more", "[queue]") {
    mp::Queue<int> queue(2);
    queue.put(1);
    queue.put(2);
    std::thread waiting([&] { CHECK_THROWS_AS(queue.put(3), mp::ShutDown); });
    queue.shutdown();
    waiting.join();
    CHECK_THROWS_AS(queue.put(3), mp::ShutDown);
    CHECK(queue.get() == 1);
    CHECK(queue.get() == 2);
    CHECK_THROWS_AS(queue.get(), mp::ShutDown);
}

TEST_CASE("Queue: shut down at once, it drops what is there and wakes all", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::Queue<int> numbers;
    mp::Queue<std::int64_t> sums;
    auto p = ctx.Process(sum_up, numbers, sums);
    p.start();
    numbers.shutdown({.immediate = true});
    CHECK(p.join(60s));
    CHECK(p.exitcode() == 1);  // ShutDown
    CHECK(numbers.qsize() == 0);
    CHECK_THROWS_AS(numbers.get_nowait(), mp::ShutDown);
}

TEST_CASE("Queue: its descriptor is readable when something is there", "[queue]") {
    mp::Queue<int> queue;
    queue.put(1);
    const int fd = queue.fileno();
    CHECK(is_readable(fd));
    CHECK(mp::connection::wait({queue}, 0s) == std::vector<std::size_t>{0});
    CHECK(queue.get() == 1);
    CHECK_FALSE(is_readable(fd));
    CHECK(mp::connection::wait({queue}, 10ms).empty());
    const mp::Context ctx = each_start_method();
    auto p = ctx.Process(put_numbers, queue, 7, 3);
    p.start();
    for (int got = 0; got < 3;) {
        REQUIRE_FALSE(mp::connection::wait({queue}, 60s).empty());
        try {
            const int item = queue.get_nowait();
            CHECK(item == 7 + got);
            ++got;
        } catch (const mp::Empty&) {
            // Readable by mistake: the item is about to come.
        }
    }
    CHECK(p.join(60s));
    // A last ring may have come after the last item was got.
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    CHECK_FALSE(is_readable(fd));
    queue.shutdown();
    CHECK(is_readable(fd));
}

TEST_CASE("Queue: many threads on both ends lose and double nothing", "[queue]") {
    constexpr int per_thread = 5000;
    mp::Queue<int> queue(50);
    std::vector<std::thread> threads;
    std::vector<std::atomic<int>> seen(4 * per_thread);
    std::atomic<int> disorder{0};
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < per_thread; ++i) {
                queue.put(t * per_thread + i);
            }
        });
        threads.emplace_back([&] {
            std::array<int, 4> last{-1, -1, -1, -1};
            for (int i = 0; i < per_thread; ++i) {
                const int got = queue.get();
                ++seen[static_cast<std::size_t>(got)];
                auto& before = last[static_cast<std::size_t>(got / per_thread)];
                disorder += got < before ? 1 : 0;
                before = got;
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(disorder == 0);
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& n) { return n == 1; }));
}

TEST_CASE("Queue: in one child one queue, however it came", "[queue]") {
    const mp::Context ctx = each_start_method();
    mp::Queue<int> queue;
    auto p = ctx.Process(
        [](mp::Queue<int> a, std::vector<mp::Queue<int>> more) {
            a.put(1);
            more.at(0).close();
            throw mp::SystemExit(a.closed() && a == more.at(0) ? 3 : 4);
        },
        queue,
        std::vector<mp::Queue<int>>{queue}
    );
    p.start();
    CHECK(p.join(60s));
    CHECK(p.exitcode() == 3);
    CHECK(queue.get(60s) == 1);
}

// SPDX-License-Identifier: BSL-1.0
// What structured concurrency costs beside Boost.Asio's own coroutines, each in one
// loop of one thread.
#include "futures/thread_pool.hpp"

#include "asio_rival.hpp"
#include "bench.hpp"
#include "concurrency/concurrency.hpp"

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

using concurrency::Task;
using concurrency::TaskGroup;

Task<int> one() {
    co_return 1;
}

Task<> nothing() {
    co_return;
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Seconds that `body(count)`, which gives a Task, takes in a loop, without what the
/// loop's begin and end take.
template <class Body>
double seconds_in_loop(std::size_t count, Body body) {
    return concurrency::run([&]() -> Task<double> {
        const Clock::time_point start = Clock::now();
        co_await body(count);
        co_return seconds_since(start);
    });
}

struct Pair {
    double ours;
    double theirs;
};

/// The medians of what two functions give that each measure something, called by turns:
/// so that a change of the machine's load befalls both.
template <class Ours, class Theirs>
Pair by_turns(int rounds, Ours ours, Theirs theirs) {
    std::vector<double> our_times;
    std::vector<double> their_times;
    ours();  // not counted
    theirs();
    for (int i = 0; i != rounds; ++i) {
        our_times.push_back(ours());
        their_times.push_back(theirs());
    }
    return {median(std::move(our_times)), median(std::move(their_times))};
}

Task<> await_many(std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
        keep(co_await one());
    }
}

Task<> start_many(std::size_t count) {
    co_await concurrency::create_task_group([count](TaskGroup& group) -> Task<> {
        constexpr std::size_t at_once = 64;
        for (std::size_t i = 0; i != count; ++i) {
            group.start_soon(nothing);
            if (i % at_once == at_once - 1) {
                co_await concurrency::checkpoint();
            }
        }
    });
}

Task<> hand_over_many(std::size_t count) {
    auto [sender, receiver] = concurrency::create_memory_object_stream<std::size_t>(0);
    co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
        group.start_soon([&]() -> Task<> {
            for (std::size_t i = 0; i != count; ++i) {
                co_await sender.send(i);
            }
        });
        for (std::size_t i = 0; i != count; ++i) {
            keep(co_await receiver.receive());
        }
    });
}

Task<> lock_many(std::size_t count) {
    concurrency::Lock lock;
    for (std::size_t i = 0; i != count; ++i) {
        const auto guard = co_await lock.scoped();
    }
}

Task<> limit_many(std::size_t count) {
    constexpr double never = 10;
    for (std::size_t i = 0; i != count; ++i) {
        keep(co_await concurrency::move_on_after(never, one));
    }
}

constexpr std::size_t gathered = 1000;

Task<> gather_many(std::size_t count) {
    for (std::size_t i = 0; i < count; i += gathered) {
        std::vector<Task<int>> tasks;
        tasks.reserve(gathered);
        for (std::size_t k = 0; k != gathered; ++k) {
            tasks.push_back(one());
        }
        const std::vector<int> results = co_await concurrency::gather(std::move(tasks));
        keep(results);
    }
}

/// Tasks that sleep, each for another time, and are all cancelled at once.
Task<> cancel_sleepers(std::size_t count) {
    co_await concurrency::create_task_group([count](TaskGroup& group) -> Task<> {
        constexpr double long_time = 1000;
        for (std::size_t i = 0; i != count; ++i) {
            group.start_soon([i]() -> Task<> {
                co_await concurrency::sleep(long_time + static_cast<double>(i));
            });
        }
        co_await concurrency::checkpoint();
        group.cancel();
    });
}

/// What the program has in memory, in bytes.
double resident() {
    std::ifstream numbers("/proc/self/statm");
    double all = 0;
    double pages = 0;
    numbers >> all >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// Bytes that each of so many tasks takes that wait for an event at once.
double bytes_of_parked(std::size_t count) {
    return concurrency::run([count]() -> Task<double> {
        concurrency::Event event;
        double bytes = 0;
        const auto all = [&](TaskGroup& group) -> Task<> {
            const double before = resident();
            for (std::size_t i = 0; i != count; ++i) {
                group.start_soon([&]() -> Task<> { co_await event.wait(); });
            }
            co_await concurrency::checkpoint();
            bytes = (resident() - before) / static_cast<double>(count);
            event.set();
        };
        co_await concurrency::create_task_group(all);
        co_return bytes;
    });
}

constexpr const char* group_name = "coroutines, one loop";

/// The same work by our coroutines and by Asio's, `count` times.
template <class Body>
void add(
    Table& table,
    const Settings& settings,
    const std::string& name,
    Body body,
    void (*asio)(std::size_t),
    double target
) {
    const std::size_t count = settings.quick ? 20'000 : 200'000;
    const auto [ours, theirs] = by_turns(
        settings.quick ? 2 : 9,
        [&] { return seconds_in_loop(count, body); },
        [&] {
            const Clock::time_point start = Clock::now();
            asio(count);
            return seconds_since(start);
        }
    );
    const double scale = 1e9 / static_cast<double>(count);
    Row row{group_name, name, Unit::nanoseconds, ours * scale, {}, "Asio", target};
    row.others.emplace_back("Asio", theirs * scale);
    table.add(std::move(row));
}

/// A figure that is to be at most `limit`.
void add_limited(
    Table& table, const std::string& name, Unit unit, double figure, double limit
) {
    Row row{group_name, name, unit, figure, {}, "the limit", 1};
    row.others.emplace_back("the limit", limit);
    table.add(std::move(row));
}

/// A result of a pool of one thread, awaited in a loop, and asked for by result().
void add_pool(Table& table, const Settings& settings) {
    const std::size_t count = settings.quick ? 2'000 : 20'000;
    futures::ThreadPoolExecutor pool(1);
    const auto submit = [&] {
        return pool.submit([] { return 1; });
    };
    const auto await_all = [&](std::size_t many) -> Task<> {
        for (std::size_t i = 0; i != many; ++i) {
            auto future = submit();
            keep(co_await concurrency::await_future(future));
        }
    };
    const auto [awaited, asked] = by_turns(
        settings.quick ? 2 : 9,
        [&] { return seconds_in_loop(count, await_all); },
        [&] {
            const Clock::time_point start = Clock::now();
            for (std::size_t i = 0; i != count; ++i) {
                keep(submit().result());
            }
            return seconds_since(start);
        }
    );
    const double scale = 1e6 / static_cast<double>(count);
    constexpr double at_most = 1.2;  // times what result() takes
    Row row{
        group_name,
        "a thread pool's result",
        Unit::microseconds,
        awaited * scale,
        {},
        "result()",
        1 / at_most};
    row.others.emplace_back("result()", asked * scale);
    table.add(std::move(row));
}

/// That it takes a time, and for ten times as many ten times as long.
void add_sleepers(Table& table, const Settings& settings) {
    constexpr std::size_t many = 100'000;
    constexpr std::size_t few = many / 10;
    const auto [of_many, of_few] = by_turns(
        settings.quick ? 1 : 5,
        [] { return seconds_in_loop(many, cancel_sleepers); },
        [] { return seconds_in_loop(few, cancel_sleepers); }
    );
    constexpr double limit = 1;
    add_limited(
        table,
        "100,000 sleepers cancelled",
        Unit::microseconds,
        of_many * 1e6,
        limit * 1e6
    );
    constexpr double linear = 0.5;  // but for what a cache holds
    Row row{
        group_name,
        "each of them",
        Unit::nanoseconds,
        of_many / static_cast<double>(many) * 1e9,
        {},
        "of 10,000",
        linear};
    row.others.emplace_back("of 10,000", of_few / static_cast<double>(few) * 1e9);
    table.add(std::move(row));
}

}  // namespace

void bench_async(Table& table, const Settings& settings) {
    // First: what others leave in the heap would be used again.
    constexpr double most_bytes = 640;
    add_limited(
        table,
        "a parked task",
        Unit::bytes,
        bytes_of_parked(settings.quick ? 100'000 : 1'000'000),
        most_bytes
    );
    add(table, settings, "start a child and run it", start_many, asio_start_many, 6);
    add(table, settings, "await a coroutine", await_many, asio_await_many, 1.1);
    add(table, settings, "send and receive", hand_over_many, asio_send_many, 4);
    add(table, settings, "a lock and its guard", lock_many, asio_lock_many, 2.5);
    add(table, settings, "a time limit", limit_many, asio_limit_many, 20);
    add(table, settings, "gather, each of 1000", gather_many, asio_gather_many, 3);
    add_sleepers(table, settings);
    add_pool(table, settings);
}

}  // namespace bench

// SPDX-License-Identifier: BSL-1.0
// What structured concurrency costs beside Boost.Asio's own coroutines, each in one
// loop of one thread.
#include "futures/thread_pool.hpp"

#include "asio_rival.hpp"
#include "bench.hpp"
#include "concurrency/concurrency.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
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

/// Seconds that `body(count)`, which gives a Task, takes in a loop, without what the
/// loop's begin and end take.
template <class Body>
double seconds_in_loop(int rounds, std::size_t count, Body body) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> times;
    concurrency::run([&]() -> Task<> {
        co_await body(count);  // not counted
        for (int i = 0; i != rounds; ++i) {
            const Clock::time_point start = Clock::now();
            co_await body(count);
            times.push_back(std::chrono::duration<double>(Clock::now() - start).count()
            );
        }
    });
    return median(std::move(times));
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

void add(
    Table& table,
    const std::string& name,
    double nanoseconds,
    double asio,
    std::optional<double> target
) {
    Row row{
        "coroutines, one loop",
        name,
        Unit::nanoseconds,
        nanoseconds,
        {},
        "Asio",
        target};
    row.others.emplace_back("Asio", asio);
    table.add(std::move(row));
}

/// A result of a pool of one thread, by turns awaited in a loop and asked for by
/// result().
void add_pool(Table& table, int rounds, std::size_t count) {
    futures::ThreadPoolExecutor pool(1);
    const auto submit = [&] {
        return pool.submit([] { return 1; });
    };
    const double awaited =
        seconds_in_loop(rounds, count, [&](std::size_t many) -> Task<> {
            for (std::size_t i = 0; i != many; ++i) {
                auto future = submit();
                keep(co_await concurrency::await_future(future));
            }
        });
    const double asked = seconds_of(rounds, [&] {
        for (std::size_t i = 0; i != count; ++i) {
            keep(submit().result());
        }
    });
    const auto many = static_cast<double>(count);
    Row row{
        "coroutines, one loop",
        "a thread pool's result",
        Unit::microseconds,
        awaited / many * 1e6,
        {},
        "",
        {}};
    row.others.emplace_back("result()", asked / many * 1e6);
    table.add(std::move(row));
}

}  // namespace

void bench_async(Table& table, const Settings& settings) {
    const int rounds = settings.quick ? 2 : 9;
    const std::size_t count = settings.quick ? 20'000 : 200'000;
    const auto many = static_cast<double>(count);
    const auto per_one = [&](auto body) {
        return seconds_in_loop(rounds, count, body) / many * 1e9;
    };
    const auto asio = [&](auto body) {
        return seconds_of(rounds, [&] { body(count); }) / many * 1e9;
    };
    add(table, "start a child and run it", per_one(start_many), asio(asio_start_many), 6
    );
    add(table, "await a coroutine", per_one(await_many), asio(asio_await_many), 1.1);
    add(table, "send and receive", per_one(hand_over_many), asio(asio_send_many), 4);
    add(table, "a lock and its guard", per_one(lock_many), asio(asio_lock_many), 2.5);
    add(table, "a time limit", per_one(limit_many), asio(asio_limit_many), 20);
    add(table, "gather, each of 1000", per_one(gather_many), asio(asio_gather_many), 3);
    constexpr std::size_t sleepers = 100'000;
    Row cancelled{
        "coroutines, one loop",
        "100,000 sleepers cancelled",
        Unit::microseconds,
        seconds_in_loop(settings.quick ? 1 : 3, sleepers, cancel_sleepers) * 1e6,
        {},
        "",
        {}};
    table.add(std::move(cancelled));
    add_pool(table, rounds, count / 10);
}

}  // namespace bench

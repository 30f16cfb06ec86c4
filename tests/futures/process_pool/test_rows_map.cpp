// SPDX-License-Identifier: BSL-1.0
// map() of a process pool: order, errors, chunks, several threads: behaviours of other
// pools, by their ids.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::MapOptions;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::fail;
using test::tasks::multiply;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

std::vector<int> first_numbers(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

std::pair<int, int> index_and_value(int index, int value) {
    return {index, value * value};
}

int refuse_one(int x) {
    if (x == 1) {
        throw std::domain_error("one");
    }
    return x;
}

int pass_with(const std::string& gate, int x) {
    test::pass(gate);
    return x;
}

int multiply_pair(const std::tuple<int, int>& pair) {
    return std::apply(multiply, pair);
}

/// 13 pairs, with those options, are what the loop would give.
void expect_thirteen(ProcessPoolExecutor& pool, const MapOptions& options) {
    const auto values = first_numbers(13);
    int at = 0;
    for (const auto& [index, square] :
         pool.map(options, index_and_value, values, values)) {
        CHECK(index == at);
        CHECK(square == at * at);
        ++at;
    }
    CHECK(at == 13);
}

/// A range whose size() is not what it has.
struct Misjudged {
    std::vector<int> items;
    std::size_t hint;

    auto begin() const { return items.begin(); }

    auto end() const { return items.end(); }

    std::size_t size() const { return hint; }
};

}  // namespace

TEST_CASE("mpire::pool::all_maps.matrix: as the loop would do it, in any way") {
    const auto context = each_replacing_method();
    struct Way {
        int workers;
        MapOptions options;
        int lifespan;
    };
    const std::vector<Way> ways{
        {2, {}, 0},
        {1, {}, 0},
        {2, {.buffersize = 2}, 0},
        {2, {}, 2},
        {2, {.chunksize = 3}, 0},
        {2, {.chunksize = 5}, 0},
        {2, {.chunksize = 3}, 1}};
    for (const Way& way : ways) {
        ProcessPoolOptions options = on(context, way.workers);
        if (way.lifespan > 0) {
            options.max_tasks_per_child = way.lifespan;
        }
        ProcessPoolExecutor pool(options);
        expect_thirteen(pool, way.options);
        // In the order in which they end.
        std::vector<Future<int>> all;
        for (const int x : first_numbers(13)) {
            all.push_back(pool.submit(inc, x));
        }
        int sum = 0;
        for (const auto& future : futures::as_completed(all, 60s)) {
            sum += future.result();
        }
        CHECK(sum == 13 * 14 / 2);
    }
}

TEST_CASE("mpire::pool::all_maps.empty: no result, at once, before and after others") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const std::vector<int> none;
    for (int round = 0; round < 2; ++round) {
        CHECK(pool.map(inc, none).to_vector().empty());
        CHECK(pool.map({.chunksize = 3}, inc, none).to_vector().empty());
        CHECK(pool.map({.buffersize = 2}, inc, none).to_vector().empty());
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
}

TEST_CASE("mpire::pool::mixing_map_calls: two lazy ones in turns, each has its own") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto numbers = first_numbers(20);
    auto one = pool.map({.buffersize = 3}, inc, numbers);
    auto two = pool.map({.buffersize = 3}, multiply, numbers, numbers);
    auto first = one.begin();
    auto second = two.begin();
    for (const int x : numbers) {
        CHECK(*first == x + 1);
        CHECK(*second == x * x);
        ++first;
        ++second;
    }
    CHECK(first == one.end());
    CHECK(second == two.end());
}

TEST_CASE("pebble::process_pool::map_error: the result after it can be had") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const int chunksize = GENERATE(1, 3);
    auto results = pool.map({.chunksize = chunksize}, refuse_one, {0, 1, 2});
    auto it = results.begin();
    CHECK(*it == 0);
    ++it;
    CHECK_THROWS_WITH(*it, "one");
    ++it;
    CHECK(*it == 2);
    ++it;
    CHECK(it == results.end());
}

TEST_CASE("pebble::process_pool::map_broken_pool: what is not done throws, each item") {
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    auto results = pool.map(pass_with, std::vector(5, gate.path()), first_numbers(5));
    gate.open(1);
    auto it = results.begin();
    CHECK(*it == 0);
    kill(pool.workers().at(0), SIGKILL);
    int broken = 0;
    for (++it; it != results.end(); ++it) {
        CHECK_THROWS_AS(*it, BrokenProcessPool);
        ++broken;
    }
    CHECK(broken == 4);
}

TEST_CASE("loky::process_executor::thread_safety: ten threads map, submit and cancel") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    pool.submit(inc, 0).result(60s);
    std::atomic<int> wrong{0};
    const auto use = [&] {
        for (int round = 0; round < 2; ++round) {
            int expected = 0;
            for (const int result : pool.map(inc, first_numbers(40))) {
                wrong += result == ++expected ? 0 : 1;
            }
            wrong += expected == 40 ? 0 : 1;
        }
        std::vector<Future<int>> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(pool.submit(inc, i));
            if (i % 2 != 0) {
                all.back().cancel();
            }
        }
        for (int i = 0; i < 20; ++i) {
            const auto& future = all[static_cast<std::size_t>(i)];
            wrong += future.cancelled() || future.result(60s) == i + 1 ? 0 : 1;
            wrong += i % 2 == 0 && future.cancelled() ? 1 : 0;
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 10; ++i) {
        threads.emplace_back(use);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(wrong == 0);
}

TEST_CASE("mpi4py::test_futures::Executor::starmap: items that are all arguments") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<std::tuple<int, int>> pairs;
    std::vector<int> expected;
    for (int i = 0; i < 100; ++i) {
        pairs.emplace_back(i, i + 1);
        expected.push_back(i * (i + 1));
    }
    for (const int chunksize : {1, 6, 40, 50}) {
        CHECK(
            pool.map({.chunksize = chunksize}, multiply_pair, pairs).to_vector() ==
            expected
        );
    }
    CHECK_THROWS_AS(
        pool.map({.chunksize = -1}, multiply_pair, pairs), std::invalid_argument
    );
}

TEST_CASE("dask::test_client_executor::map_timeout: some results, then the error") {
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    auto results = pool.map(
        {.timeout = 500ms}, pass_with, std::vector(10, gate.path()), first_numbers(10)
    );
    gate.open(4);
    int taken = 0;
    bool in_time = true;
    for (auto it = results.begin(); in_time && it != results.end(); ++it) {
        try {
            const int result = *it;
            CHECK(result == taken);
            ++taken;
        } catch (const futures::TimeoutError&) {
            in_time = false;
        }
    }
    CHECK_FALSE(in_time);
    // Which of the gate's passages came first is not known.
    CHECK(taken <= 4);
    gate.open(10);
}

TEST_CASE(
    "dask::test_client::get_returns_early ray::test_failure::fail_fast_get: the first "
    "failure is told while another task runs, also when its worker died"
) {
    const auto context = each_pool_start_method();
    const bool dies = GENERATE(false, true);
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    const auto blocked = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    const auto failing = pool.submit(
        [](bool by_signal) {
            if (by_signal) {
                raise(SIGKILL);
            }
            fail();
            return 0;
        },
        dies
    );
    const auto [done, not_done] =
        futures::wait({blocked, failing}, 60s, futures::FIRST_EXCEPTION);
    REQUIRE(done.size() == 1);
    CHECK(done.at(0) == failing);
    CHECK(failing.exception() != nullptr);
    CHECK_FALSE(blocked.done());
    gate.open(1);
    CHECK(blocked.result(60s) == 1);
}

TEST_CASE("ray::test_multiprocessing::imap_error_value: errors stand in their places") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    auto results = pool.map({.buffersize = 2}, refuse_one, {1, 2, 1, 3, 1});
    std::vector<int> seen;
    for (auto it = results.begin(); it != results.end(); ++it) {
        try {
            seen.push_back(*it);
        } catch (const std::domain_error&) {
            seen.push_back(-1);
        }
    }
    CHECK(seen == std::vector{-1, 2, -1, 3, -1});
}

TEST_CASE("pebble::process_pool::map_zero_chunk: refused before any item is taken") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    int taken = 0;
    const auto inputs = [&] {
        struct Counting {
            int* taken;
            int at;

            int operator*() const { return at; }

            Counting& operator++() {
                ++*taken;
                ++at;
                return *this;
            }

            bool operator!=(const Counting& other) const { return at != other.at; }
        };

        struct Range {
            int* taken;

            Counting begin() const { return {taken, 0}; }

            Counting end() const { return {taken, 3}; }
        };

        return Range{&taken};
    };
    CHECK_THROWS_AS(pool.map({.chunksize = 0}, inc, inputs()), std::invalid_argument);
    CHECK_THROWS_AS(pool.map({.chunksize = -1}, inc, inputs()), std::invalid_argument);
    CHECK(taken == 0);
    CHECK(pool.map(inc, inputs()).to_vector() == std::vector{1, 2, 3});
    CHECK(taken == 3);
}

TEST_CASE("mpire::params::chunk_size_default: it is one, and an explicit one holds") {
    CHECK(MapOptions().chunksize.value() == 1);
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto numbers = first_numbers(128);
    CHECK(pool.map(inc, numbers).to_vector().size() == 128);
    CHECK(pool.statistics().submitted == 128);
    CHECK(pool.map({.chunksize = 3}, inc, numbers).to_vector().size() == 128);
    CHECK(pool.statistics().submitted == 128 + 43);
}

TEST_CASE("mpire::utils::chunk.length_hint: what size() says does not matter") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const std::vector<int> expected{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    for (const std::size_t hint : {5U, 10U, 20U}) {
        for (const int chunksize : {1, 3}) {
            const Misjudged inputs{first_numbers(10), hint};
            CHECK(
                pool.map({.chunksize = chunksize}, inc, inputs).to_vector() == expected
            );
        }
    }
}

TEST_CASE("mpire::utils::chunk.remainder: the last chunk has the rest") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::uint64_t submitted = 0;
    for (const int count : {2, 3, 4}) {
        const auto results =
            pool.map({.chunksize = 3}, inc, first_numbers(count)).to_vector();
        CHECK(results.size() == static_cast<std::size_t>(count));
        CHECK(results.back() == count);
        submitted += count > 3 ? 2 : 1;
        CHECK(pool.statistics().submitted == submitted);
    }
}

TEST_CASE(
    "mpire::docs::lifespan_finishes_chunk: a chunk counts as one task, and is never "
    "left half-done"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 2;
    ProcessPoolExecutor pool(options);
    const auto who = [](int) {
        return pid();
    };
    const auto pids = pool.map({.chunksize = 5}, who, first_numbers(20)).to_vector();
    REQUIRE(pids.size() == 20);
    for (std::size_t i = 0; i < 20; ++i) {
        CHECK(pids[i] == pids[i / 10 * 10]);
    }
    CHECK(pids[0] != pids[10]);
    CHECK(pool.statistics().workers_lost == 0);
}

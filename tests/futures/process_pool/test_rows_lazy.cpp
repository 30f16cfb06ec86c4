// SPDX-License-Identifier: BSL-1.0
// Inputs that are taken bit by bit, and results in the order in which they come:
// behaviours of other pools, by their ids.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::MapOptions;
using futures::ProcessPoolExecutor;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::ring_and_pass;

namespace {

/// Gives 0, 1, 2 ... once, up to `count`, tells how many were taken, and throws at one.
class Generator {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using reference = int;
        using pointer = const int*;

        explicit Iterator(Generator* from) : from_(from) {}

        int operator*() const {
            if (from_->at_ == from_->throws_at_) {
                throw std::domain_error("no more");
            }
            from_->taken_ = from_->at_ + 1;
            return from_->at_;
        }

        Iterator& operator++() {
            ++from_->at_;
            return *this;
        }

        void operator++(int) { ++*this; }

        bool operator==(std::default_sentinel_t) const {
            return from_->at_ == from_->count_;
        }

    private:
        Generator* from_;
    };

    explicit Generator(int count, int throws_at = -1)
        : count_(count), throws_at_(throws_at) {}

    Iterator begin() { return Iterator(this); }

    std::default_sentinel_t end() const { return {}; }

    int taken() const { return taken_; }

private:
    int at_ = 0;
    int taken_ = 0;
    int count_;
    int throws_at_;
};

std::vector<int> numbers_from(int first, int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
}

int throw_for_some(int x) {
    if (x % 40 == 7) {
        throw std::domain_error("some");
    }
    return x;
}

int pass_if(bool waits, const std::string& gate, int x) {
    if (waits) {
        test::pass(gate);
    }
    return x;
}

}  // namespace

TEST_CASE("mpire::pool::all_maps.generator: a range to go through once") {
    const auto context = each_pool_start_method();
    const std::vector<MapOptions> ways{
        {}, {.buffersize = 2}, {.chunksize = 3}, {.chunksize = 3, .buffersize = 4}};
    for (const int workers : {1, 3}) {
        ProcessPoolExecutor pool(on(context, workers));
        for (const auto& way : ways) {
            CHECK(pool.map(way, inc, Generator(13)).to_vector() == numbers_from(1, 13));
        }
        std::vector<Future<int>> all;
        Generator inputs(13);
        for (const int x : inputs) {
            all.push_back(pool.submit(inc, x));
        }
        std::set<int> results;
        for (const auto& future : futures::as_completed(all, 60s)) {
            results.insert(future.result());
        }
        CHECK(results.size() == 13);
    }
}

TEST_CASE(
    "mpire::docs::lazy_never_iterated: what fits the buffer runs, and nothing is late"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const Gate bell;
    Generator inputs(100);
    {
        const auto ring_for = [](const std::string& path, int x) {
            test::ring(path);
            return x;
        };
        const auto never_read = pool.map(
            {.buffersize = 3, .timeout = 1ms},
            ring_for,
            std::vector(100, bell.path()),
            inputs
        );
        CHECK(bell.wait_for(3));
    }
    CHECK(inputs.taken() <= 4);
    CHECK(pool.statistics().submitted == 3);
}

TEST_CASE("mpire::docs::in_flight_below_workers: all results arrive all the same") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 3));
    CHECK(
        pool.map({.buffersize = 1}, inc, Generator(20)).to_vector() ==
        numbers_from(1, 20)
    );
}

TEST_CASE(
    "loky::reusable_executor::input_iterable_throws: from map(), or where the item "
    "stands, and the pool goes on"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    CHECK_THROWS_WITH(pool.map(inc, Generator(20, 3)), "no more");
    struct Way {
        MapOptions options;
        int throws_at;
    };
    const std::vector<Way> ways{
        {{.buffersize = 1}, 3},
        {{.chunksize = 2, .buffersize = 2}, 7},
        {{.chunksize = 4, .buffersize = 4}, 7}};
    for (const Way& way : ways) {
        auto results = pool.map(way.options, inc, Generator(20, way.throws_at));
        std::vector<int> seen;
        std::string text;
        for (auto it = results.begin(); it != results.end(); ++it) {
            try {
                seen.push_back(*it);
            } catch (const std::domain_error& error) {
                text = error.what();
            }
        }
        CHECK(text == "no more");
        // What was in a chunk with the item goes with it.
        const auto chunksize = static_cast<int>(way.options.chunksize.value());
        CHECK(seen == numbers_from(1, way.throws_at / chunksize * chunksize));
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
}

TEST_CASE(
    "mpi4py::test_futures::Executor::map_buffersize_chunks: any of both, no deadlock"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    for (const int buffersize : {1, 2, 9, 10, 11}) {
        for (const int chunksize : {1, 2, 9, 10, 11}) {
            const MapOptions options{.chunksize = chunksize, .buffersize = buffersize};
            CHECK(
                pool.map(options, inc, Generator(10)).to_vector() == numbers_from(1, 10)
            );
        }
    }
}

TEST_CASE("mpi4py::test_futures::Executor::map_buffersize_invalid: 0 and less") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    Generator inputs(10);
    for (const int buffersize : {0, -1}) {
        CHECK_THROWS_AS(
            pool.map({.buffersize = buffersize}, inc, inputs), std::invalid_argument
        );
    }
    CHECK(inputs.taken() == 0);
}

TEST_CASE(
    "ray::test_multiprocessing::imap_timeout: one that is not done in time can be "
    "asked again, and the rest follows"
) {
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<Future<int>> all;
    for (int i = 0; i < 40; ++i) {
        all.push_back(pool.submit(pass_if, i == 23, gate.path(), i));
    }
    for (int i = 0; i < 23; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i);
    }
    CHECK_THROWS_AS(all[23].result(100ms), futures::TimeoutError);
    gate.open(1);
    for (int i = 23; i < 40; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i);
    }
}

TEST_CASE(
    "ray::test_streaming_backpressure::bounded: so many items are taken ahead, and no "
    "more"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    for (const int bound : {1, 2, 3, 5, 7, 10, 15}) {
        Generator inputs(40);
        auto results = pool.map({.buffersize = bound}, inc, inputs);
        CHECK(inputs.taken() == bound);
        int given = 0;
        for (const int result : results) {
            CHECK(result == ++given);
            CHECK(inputs.taken() <= given + bound);
        }
        CHECK(given == 40);
    }
}

TEST_CASE(
    "ray::test_streaming_backpressure::consumer_dies: nothing is taken for one that "
    "has left"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    Generator dropped(1000);
    {
        auto results = pool.map({.buffersize = 2}, inc, dropped);
        CHECK(*results.begin() == 1);
    }
    Generator thrown(1000);
    try {
        for (const int result : pool.map({.buffersize = 2}, inc, thrown)) {
            throw std::range_error(std::to_string(result));
        }
    } catch (const std::range_error&) {
    }
    Generator closed(1000);
    auto results = pool.map({.buffersize = 2}, inc, closed);
    results.close();
    pool.shutdown();
    CHECK(dropped.taken() <= 4);
    CHECK(thrown.taken() <= 4);
    CHECK(closed.taken() <= 3);
}

TEST_CASE(
    "mpire::async_result::unordered.next_timeout: what comes later can still be read"
) {
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::vector<Future<int>> all;
    for (int i = 0; i < 3; ++i) {
        all.push_back(pool.submit(pass_if, true, gate.path(), i));
    }
    for (const auto timeout : {0ms, 1ms}) {
        auto early = futures::as_completed(all, timeout);
        CHECK_THROWS_AS(early.begin(), futures::TimeoutError);
    }
    gate.open(3);
    int sum = 0;
    for (const auto& future : futures::as_completed(all, 60s)) {
        sum += future.result();
    }
    CHECK(sum == 3);
}

TEST_CASE("mpire::async_result::unordered.end: after the last one it is over") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    auto completed = futures::as_completed(all);
    auto it = completed.begin();
    for (int i = 0; i < 10; ++i) {
        REQUIRE(it != completed.end());
        ++it;
    }
    CHECK(it == completed.end());
}

TEST_CASE(
    "mpi4py::test_futures::Executor::map_unordered_timeout: those that are done, then "
    "the error"
) {
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<Future<int>> all{pool.submit(pass_if, true, gate.path(), 100)};
    for (int i = 0; i < 3; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    futures::wait(std::vector(all.begin() + 1, all.end()), 60s);
    std::set<int> results;
    const auto read_all = [&] {
        for (const auto& future : futures::as_completed(all, 50ms)) {
            results.insert(future.result());
        }
    };
    CHECK_THROWS_AS(read_all(), futures::TimeoutError);
    CHECK(results == std::set{1, 2, 3});
    gate.open(1);
}

TEST_CASE(
    "mpi4py::test_futures::Executor::map_unordered_exception: it comes in its turn, "
    "once, and the others before and after"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<Future<int>> all;
    for (int i = 0; i < 20; ++i) {
        all.push_back(pool.submit(throw_for_some, i));
    }
    std::set<int> results;
    int errors = 0;
    for (const auto& future : futures::as_completed(all, 60s)) {
        if (future.exception() != nullptr) {
            ++errors;
        } else {
            results.insert(future.result());
        }
    }
    CHECK(errors == 1);
    CHECK(results.size() == 19);
}

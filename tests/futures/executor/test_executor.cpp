// SPDX-License-Identifier: BSL-1.0
// map() of every executor: the order of its results, its buffer, chunks and errors.
#include "futures/executor.hpp"
#include "futures/thread_pool.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"

#include <array>
#include <forward_list>
#include <memory>
#include <semaphore>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ThreadPoolExecutor;
using futures::detail::CallWithItem;
using futures::detail::ItemOutcome;

namespace {

/// Calls `fn` for each item. What a worker does for a chunk.
template <class Fn, class Item>
std::vector<ItemOutcome<typename CallWithItem<Fn, Item>::Result>>
run_chunk(Fn& fn, std::vector<Item>& items) {
    using Result = typename CallWithItem<Fn, Item>::Result;
    std::vector<ItemOutcome<Result>> outcomes(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        try {
            if constexpr (std::is_void_v<Result>) {
                std::apply(fn, std::move(items[i]));
                outcomes[i].value.emplace();
            } else {
                outcomes[i].value.emplace(std::apply(fn, std::move(items[i])));
            }
        } catch (...) {
            outcomes[i].exception = std::current_exception();
        }
    }
    return outcomes;
}

/// What a process pool is for map(): chunks, here run by a thread.
struct Chunks {
    template <class Fn, class Item>
    auto submit_chunk(const Fn& fn, std::vector<Item> items) {
        ++submitted;
        return threads.submit([fn, items = std::move(items)]() mutable {
            return run_chunk(fn, items);
        });
    }

    template <class Fn, class... Ranges>
    auto map(const futures::MapOptions& options, Fn&& fn, Ranges&&... ranges) {
        return futures::detail::map_chunks(
            *this, options, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...
        );
    }

    ThreadPoolExecutor threads{2};
    int submitted = 0;
};

/// Loses every chunk.
struct Broken {
    template <class Fn, class Item>
    Future<std::vector<ItemOutcome<int>>>
    submit_chunk(const Fn& /*fn*/, const std::vector<Item>& /*items*/) {
        Future<std::vector<ItemOutcome<int>>> future;
        future.set_exception(std::runtime_error("lost"));
        return future;
    }
};

int inverse(int x) {
    if (x == 0) {
        throw std::domain_error("1/0");
    }
    return 100 / x;
}

template <class Results>
auto all_of(Results&& results) {
    std::vector<typename std::remove_cvref_t<Results>::value_type> values;
    for (auto&& value : results) {
        values.push_back(std::move(value));
    }
    return values;
}

}  // namespace

TEST_CASE("map: takes any ranges, the shortest ends it", "[map]") {
    ThreadPoolExecutor threads(2);
    const std::array<int, 3> a{1, 2, 3};
    std::forward_list<std::string> b{"x", "yy", "zzz", "more"};
    std::istringstream words("10 20 30");
    const auto join = [](int n, const std::string& s, int w) {
        return std::to_string(n) + s + std::to_string(w);
    };
    struct Input {
        std::istream_iterator<int> begin() const { return first; }

        std::istream_iterator<int> end() const { return {}; }

        std::istream_iterator<int> first;
    };
    CHECK(
        all_of(threads.map(join, a, b, Input{std::istream_iterator<int>(words)})) ==
        std::vector<std::string>{"1x10", "2yy20", "3zzz30"}
    );
    CHECK(all_of(threads.map(inverse, std::vector<int>{})).empty());
    const std::vector<bool> bits{true, false};
    CHECK(
        all_of(threads.map([](bool bit) { return bit ? 1 : 0; }, bits)) ==
        std::vector<int>{1, 0}
    );
}

TEST_CASE("map: functions without a result have one result an item", "[map]") {
    ThreadPoolExecutor threads(2);
    std::atomic<int> sum{0};
    CHECK(
        all_of(threads.map([&](int x) { sum += x; }, std::vector{1, 2, 3})).size() == 3
    );
    CHECK(sum == 6);
}

TEST_CASE("map: hands results over, also those that only move", "[map]") {
    ThreadPoolExecutor threads(2);
    auto results =
        threads.map([](int x) { return std::make_unique<int>(x); }, std::vector{1, 2});
    std::vector<std::unique_ptr<int>> taken;
    for (auto&& result : results) {
        taken.push_back(std::move(result));
    }
    CHECK(*taken[1] == 2);
}

TEST_CASE("map: ++ without * goes past a result", "[map]") {
    Chunks chunks;
    for (const int size : {1, 2, 3, 7}) {
        auto results =
            chunks.map({.chunksize = size}, inverse, std::vector{1, 0, 2, 4, 5});
        auto it = results.begin();
        ++it;
        ++it;
        CHECK(*it == 50);
        ++it;
        ++it;
        CHECK(*it == 20);
        ++it;
        CHECK(it == results.end());
        ++it;
        CHECK_THROWS_AS(*it, futures::InvalidStateError);
    }
}

TEST_CASE("map: what submit() throws on the way is the last result", "[map]") {
    ThreadPoolExecutor threads(1);
    auto results = threads.map({.buffersize = 2}, inverse, std::vector{1, 2, 4, 5});
    auto it = results.begin();
    CHECK(*it == 100);
    threads.shutdown();
    ++it;
    CHECK(*it == 50);
    ++it;
    CHECK(*it == 25);
    ++it;
    CHECK_THROWS_AS(*it, mp::StateError);
    ++it;
    CHECK(it == results.end());
}

TEST_CASE("map: chunks give the same results, one failure costs one item", "[map]") {
    Chunks chunks;
    const std::vector<int> input{1, 2, 0, 4, 5, 10, 20};
    for (const int size : {1, 2, 3, 7, 100}) {
        chunks.submitted = 0;
        auto results = chunks.map({.chunksize = size}, inverse, input);
        CHECK(chunks.submitted == (7 + size - 1) / size);
        std::vector<int> values;
        int failed = 0;
        for (auto it = results.begin(); it != results.end(); ++it) {
            try {
                values.push_back(*it);
            } catch (const std::domain_error&) {
                ++failed;
            }
        }
        CHECK(values == std::vector<int>{100, 50, 25, 20, 10, 5});
        CHECK(failed == 1);
    }
    CHECK_THROWS_AS(
        chunks.map({.chunksize = 0}, inverse, input), std::invalid_argument
    );
}

TEST_CASE("map: with chunks the buffer counts items", "[map]") {
    Chunks chunks;
    const std::vector<int> input(20, 5);
    auto results = chunks.map({.chunksize = 3, .buffersize = 7}, inverse, input);
    CHECK(chunks.submitted == 2);
    auto it = results.begin();
    CHECK(*it == 20);
    ++it;
    CHECK(*it == 20);
    CHECK(chunks.submitted == 3);
    CHECK(all_of(std::move(results)).size() == 19);
    CHECK(chunks.submitted == 7);
    auto small = chunks.map({.chunksize = 10, .buffersize = 1}, inverse, input);
    CHECK(all_of(std::move(small)).size() == 20);
}

TEST_CASE("map: a lost chunk is an exception at each of its items", "[map]") {
    Broken broken;
    auto results = futures::detail::map_chunks(
        broken, {.chunksize = 2}, inverse, std::vector{1, 2, 3}
    );
    int lost = 0;
    for (auto it = results.begin(); it != results.end(); ++it) {
        CHECK_THROWS_WITH(*it, "lost");
        ++lost;
    }
    CHECK(lost == 3);
}

TEST_CASE("map: its results can be moved and replaced", "[map]") {
    ThreadPoolExecutor threads(1);
    std::binary_semaphore go(0);
    const auto blocked = threads.submit([&] { go.acquire(); });
    std::atomic<int> ran{0};
    const auto count = [&](int) {
        return ++ran;
    };
    auto results = threads.map(count, std::vector{1, 2, 3});
    auto moved = std::move(results);
    moved = threads.map(count, std::vector{4});  // cancels the first three
    go.release();
    CHECK(all_of(std::move(moved)) == std::vector<int>{1});
    threads.shutdown();
    CHECK(ran == 1);
}

TEST_CASE("Count: takes any integer and saturates", "[executor]") {
    CHECK(futures::Count(3U).value() == 3);
    CHECK(futures::Count(-4).value() == -4);
    CHECK(futures::Count(~std::size_t{0}).value() == PTRDIFF_MAX);
}

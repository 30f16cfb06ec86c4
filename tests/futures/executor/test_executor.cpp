// SPDX-License-Identifier: BSL-1.0
// map() of every executor: the order of its results, its buffer, chunks and errors.
#include "futures/executor.hpp"
#include "futures/executor/map_results.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"

#include <exception>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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

namespace map_results = test::map_results;
using map_results::inverse;

}  // namespace

TEST_CASE("map: takes any ranges, the shortest ends it", "[map]") {
    ThreadPoolExecutor threads(2);
    map_results::any_ranges(threads);
}

TEST_CASE("map: functions without a result have one result an item", "[map]") {
    ThreadPoolExecutor threads(2);
    map_results::no_results(threads);
}

TEST_CASE("map: hands results over, also those that only move", "[map]") {
    ThreadPoolExecutor threads(2);
    map_results::only_moved(threads);
}

TEST_CASE("map: ++ without * goes past a result", "[map]") {
    Chunks chunks;
    map_results::passed_without_a_look(chunks);
}

TEST_CASE("map: what submit() throws on the way is the last result", "[map]") {
    ThreadPoolExecutor threads(1);
    map_results::refused_on_the_way(threads);
}

TEST_CASE("map: chunks give the same results, one failure costs one item", "[map]") {
    Chunks chunks;
    map_results::chunks_and_a_failure(chunks, [&] { return chunks.submitted; });
}

TEST_CASE("map: with chunks the buffer counts items", "[map]") {
    Chunks chunks;
    map_results::buffer_of_items(chunks, [&] { return chunks.submitted; });
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
    map_results::moved_and_replaced(threads);
}

TEST_CASE("Count: takes any integer and saturates", "[executor]") {
    CHECK(futures::Count(3U).value() == 3);
    CHECK(futures::Count(-4).value() == -4);
    CHECK(futures::Count(~std::size_t{0}).value() == PTRDIFF_MAX);
}

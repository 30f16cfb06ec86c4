// SPDX-License-Identifier: BSL-1.0
// What map() goes through, in both pools.
#include "futures/executor/map_inputs.hpp"
#include "futures/executor/map_views.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;

namespace {

namespace map_inputs = test::map_inputs;

/// Calls `test` with a thread pool, and with a process pool of each start method.
template <class Test>
void in_each_pool(Test&& test) {
    if (GENERATE(true, false)) {
        ThreadPoolExecutor pool(2);
        test(pool);
    } else {
        ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
        test(pool);
    }
}

/// The same, with all kinds of options.
template <class Test>
void in_each_way(Test&& test) {
    in_each_pool([&](auto& pool) { map_inputs::in_each_way(pool, test); });
}

}  // namespace

TEST_CASE("map: to_vector() gives all results, with their type", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::gives_all(pool); });
}

TEST_CASE("map: to_vector() gives the results that are left", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::gives_what_is_left(pool); });
}

TEST_CASE("map: to_vector() throws the first exception and ends the range", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::throws_the_first(pool); });
}

TEST_CASE("map: items in braces, where Python has lists", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::items_in_braces(pool); });
}

TEST_CASE("map: the items of a map", "[map]") {
    in_each_way([](const auto& map) { map_inputs::items_of_a_map(map); });
}

TEST_CASE("map: containers and arrays", "[map]") {
    in_each_way([](const auto& map) { map_inputs::containers(map); });
}

TEST_CASE("map: items that are proxies", "[map]") {
    in_each_way([](const auto& map) { map_inputs::proxies(map); });
}

TEST_CASE("map: a range that can be gone through once", "[map]") {
    in_each_way([](const auto& map) { map_inputs::once_only(map); });
}

TEST_CASE("map: what a range throws comes from map(), or after the results", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::throwing_range(pool); });
}

#if HAS_VIEWS

TEST_CASE("map: views", "[map]") {
    in_each_way([](const auto& map) { map_inputs::all_views(map); });
}

TEST_CASE("map: a view that moves items out, and one that shows them", "[map]") {
    in_each_way([](const auto& map) { map_inputs::moving_views(map); });
}

TEST_CASE("map: items that are proxies of a view", "[map]") {
    in_each_way([](const auto& map) { map_inputs::proxies_of_a_view(map); });
}

TEST_CASE("map: a range without end, taken as far as one likes", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::without_end(pool); });
}

TEST_CASE("map: its results are a range for views", "[map]") {
    in_each_pool([](auto& pool) { map_inputs::results_as_a_range(pool); });
}

#endif

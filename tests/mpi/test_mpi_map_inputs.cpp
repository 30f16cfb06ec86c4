// SPDX-License-Identifier: BSL-1.0
// What map() goes through, in an MPIPoolExecutor.
#include "futures/executor/map_inputs.hpp"
#include "futures/executor/map_views.hpp"
#include "futures/mpi_pool.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"

using futures::MPIPoolExecutor;

namespace {

namespace map_inputs = test::map_inputs;

/// Calls `test` with an executor whose ranks run the calls.
template <class Test>
void in_ranks(Test&& test) {
    MPIPoolExecutor pool;
    test(pool);
}

/// The same, with all kinds of options.
template <class Test>
void in_ranks_each_way(Test&& test) {
    in_ranks([&](auto& pool) { map_inputs::in_each_way(pool, test); });
}

}  // namespace

TEST_CASE("map, MPI: to_vector() gives all results, with their type", "[mpi][map]") {
    in_ranks([](auto& pool) { map_inputs::gives_all(pool); });
}

TEST_CASE("map, MPI: to_vector() gives the results that are left", "[mpi][map]") {
    in_ranks([](auto& pool) { map_inputs::gives_what_is_left(pool); });
}

TEST_CASE(
    "map, MPI: to_vector() throws the first exception and ends the range", "[mpi][map]"
) {
    in_ranks([](auto& pool) { map_inputs::throws_the_first(pool); });
}

TEST_CASE("map, MPI: items in braces, where Python has lists", "[mpi][map]") {
    in_ranks([](auto& pool) { map_inputs::items_in_braces(pool); });
}

TEST_CASE("map, MPI: the items of a map", "[mpi][map]") {
    in_ranks_each_way([](const auto& map) { map_inputs::items_of_a_map(map); });
}

TEST_CASE("map, MPI: containers and arrays", "[mpi][map]") {
    in_ranks_each_way([](const auto& map) { map_inputs::containers(map); });
}

TEST_CASE("map, MPI: items that are proxies", "[mpi][map]") {
    in_ranks_each_way([](const auto& map) { map_inputs::proxies(map); });
}

TEST_CASE("map, MPI: a range that can be gone through once", "[mpi][map]") {
    in_ranks_each_way([](const auto& map) { map_inputs::once_only(map); });
}

TEST_CASE(
    "map, MPI: what a range throws comes from map(), or after the results", "[mpi][map]"
) {
    in_ranks([](auto& pool) { map_inputs::throwing_range(pool); });
}

#if HAS_VIEWS

TEST_CASE("map, MPI: views", "[mpi][map]") {
    in_ranks_each_way([](const auto& map) { map_inputs::all_views(map); });
}

TEST_CASE(
    "map, MPI: a view that moves items out, and one that shows them", "[mpi][map]"
) {
    in_ranks_each_way([](const auto& map) { map_inputs::moving_views(map); });
}

TEST_CASE("map, MPI: items that are proxies of a view", "[mpi][map]") {
    in_ranks_each_way([](const auto& map) { map_inputs::proxies_of_a_view(map); });
}

TEST_CASE("map, MPI: a range without end, taken as far as one likes", "[mpi][map]") {
    in_ranks([](auto& pool) { map_inputs::without_end(pool); });
}

TEST_CASE("map, MPI: its results are a range for views", "[mpi][map]") {
    in_ranks([](auto& pool) { map_inputs::results_as_a_range(pool); });
}

#endif

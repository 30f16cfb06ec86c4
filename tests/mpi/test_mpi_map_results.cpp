// SPDX-License-Identifier: BSL-1.0
// The results of map() of an MPIPoolExecutor, and what chunks change.
#include "futures/executor/map_results.hpp"
#include "futures/mpi_pool.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"

using futures::MPIPoolExecutor;

namespace {

namespace map_results = test::map_results;

}  // namespace

TEST_CASE("map, MPI: takes any ranges, the shortest ends it", "[mpi][map]") {
    MPIPoolExecutor executor;
    map_results::any_ranges(executor);
}

TEST_CASE(
    "map, MPI: functions without a result have one result an item", "[mpi][map]"
) {
    MPIPoolExecutor executor;
    map_results::no_results(executor);
}

TEST_CASE("map, MPI: hands results over, also those that only move", "[mpi][map]") {
    MPIPoolExecutor executor;
    map_results::only_moved(executor);
}

TEST_CASE("map, MPI: ++ without * goes past a result", "[mpi][map]") {
    MPIPoolExecutor executor;
    map_results::passed_without_a_look(executor);
}

TEST_CASE(
    "map, MPI: what submit() throws on the way is the last result", "[mpi][map]"
) {
    MPIPoolExecutor executor;
    map_results::refused_on_the_way(executor);
}

TEST_CASE(
    "map, MPI: chunks give the same results, one failure costs one item", "[mpi][map]"
) {
    MPIPoolExecutor executor;
    map_results::chunks_and_a_failure(executor, [&] {
        return static_cast<int>(executor.statistics().submitted);
    });
}

TEST_CASE("map, MPI: with chunks the buffer counts items", "[mpi][map]") {
    MPIPoolExecutor executor;
    map_results::buffer_of_items(executor, [&] {
        return static_cast<int>(executor.statistics().submitted);
    });
}

TEST_CASE("map, MPI: its results can be moved and replaced", "[mpi][map]") {
    MPIPoolExecutor executor(test::one_by_one());
    map_results::moved_and_replaced(executor);
}

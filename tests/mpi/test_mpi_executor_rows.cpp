// SPDX-License-Identifier: BSL-1.0
// submit() and map() of an MPIPoolExecutor, by the rows of CPython's tests.
#include "futures/mpi_pool.hpp"

#include "mpi/mpi_pools.hpp"
#include "ported/executor_rows.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using futures::MPIPoolExecutor;

namespace {

namespace executor_rows = test::executor_rows;

}  // namespace

TEST_CASE("ExecutorTest.test_submit, MPI: a call and its result", "[mpi]") {
    MPIPoolExecutor executor;
    executor_rows::submit(executor);
}

TEST_CASE(
    "ExecutorTest.test_submit_keyword, MPI: options travel as arguments", "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::submit_keyword(executor);
}

TEST_CASE("ExecutorTest.test_map, MPI: as the loop would do it", "[mpi]") {
    MPIPoolExecutor executor;
    executor_rows::map(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_exception, MPI: the results after it can be had", "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_exception(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_timeout, MPI: the first results, then the error and the end",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_timeout(executor, 500ms);
}

TEST_CASE(
    "ExecutorTest.test_map_timeout_from_callable, MPI: it is not the map's own", "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_timeout_from_callable(executor);
}

TEST_CASE("ExecutorTest.test_map_close, MPI: cancels the rest", "[mpi]") {
    MPIPoolExecutor executor(test::one_by_one());
    executor_rows::map_close(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize_value_validation, MPI: 0 and less are refused",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_value_validation(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize, MPI: any size gives all results in order",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize_on_multiple_iterables, MPI: two ranges", "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_on_multiple_iterables(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize_on_infinite_iterable, MPI: it can be read from",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_on_infinite_iterable(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize_on_multiple_infinite_iterables, MPI: as well",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_on_multiple_infinite_iterables(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize_on_empty_iterable, MPI: no result", "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_on_empty_iterable(executor);
}

TEST_CASE(
    "ExecutorTest.test_map_buffersize_when_buffer_is_full, MPI: no more is fetched",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_when_buffer_is_full(executor);
}

TEST_CASE(
    "PoolExecutorTest.test_map_buffersize, MPI: one more is taken for each result",
    "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_buffersize_moves_on(executor);
}

TEST_CASE(
    "ThreadPoolExecutorTest.test_map_submits_without_iteration, MPI: all run", "[mpi]"
) {
    MPIPoolExecutor executor;
    executor_rows::map_submits_without_iteration(executor);
}

TEST_CASE(
    "ThreadPoolExecutorTest.test_executor_map_current_future_cancel, MPI: none runs",
    "[mpi]"
) {
    MPIPoolExecutor executor(test::one_by_one());
    executor_rows::map_current_future_cancel(executor);
}

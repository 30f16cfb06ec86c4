// SPDX-License-Identifier: BSL-1.0
// wait() and as_completed() with an MPIPoolExecutor, by the rows of CPython's tests.
#include "futures/mpi_pool.hpp"

#include "mpi/mpi_pools.hpp"
#include "ported/waiting_rows.hpp"
#include "support/catch.hpp"

using futures::MPIPoolExecutor;

namespace {

namespace waiting_rows = test::waiting_rows;

}  // namespace

TEST_CASE("WaitTests.test_20369, MPI: the same future twice is one", "[mpi]") {
    MPIPoolExecutor executor;
    waiting_rows::same_future_twice(executor);
}

TEST_CASE(
    "WaitTests.test_first_completed, MPI: a cancelled one does not count untold",
    "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::first_completed(executor);
}

TEST_CASE(
    "WaitTests.test_first_completed_some_already_completed, MPI: returns at once",
    "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::first_completed_some_already_completed(executor);
}

TEST_CASE("WaitTests.test_first_exception, MPI: returns when one fails", "[mpi]") {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::first_exception(executor);
}

TEST_CASE(
    "WaitTests.test_first_exception_some_already_complete, MPI: as well", "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::first_exception_some_already_complete(executor);
}

TEST_CASE(
    "WaitTests.test_first_exception_one_already_failed, MPI: returns at once", "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::first_exception_one_already_failed(executor);
}

TEST_CASE(
    "WaitTests.test_all_completed, MPI: successes, failures and the cancelled", "[mpi]"
) {
    MPIPoolExecutor executor;
    waiting_rows::all_completed(executor);
}

TEST_CASE(
    "WaitTests.test_timeout, MPI: no exception, the running one is not done", "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::timeout(executor);
}

TEST_CASE("AsCompletedTests.test_no_timeout, MPI: all five are given", "[mpi]") {
    MPIPoolExecutor executor;
    waiting_rows::no_timeout(executor);
}

TEST_CASE(
    "AsCompletedTests.test_future_times_out, MPI: the finished ones, then the error",
    "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::future_times_out(executor);
}

TEST_CASE(
    "AsCompletedTests.test_zero_timeout, MPI: the finished ones, then the error",
    "[mpi]"
) {
    MPIPoolExecutor executor(test::at_once(2));
    waiting_rows::zero_timeout(executor);
}

TEST_CASE("AsCompletedTests.test_duplicate_futures, MPI: given once", "[mpi]") {
    MPIPoolExecutor executor;
    waiting_rows::duplicate_futures(executor);
}

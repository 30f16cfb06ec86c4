// SPDX-License-Identifier: BSL-1.0
// How an MPIPoolExecutor ends, and its initializer, by the rows of CPython's tests.
#include "futures/mpi_pool.hpp"

#include "mpi/mpi_pools.hpp"
#include "ported/shutdown_rows.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::MPIPoolExecutor;
using test::Gate;

namespace {

namespace shutdown_rows = test::shutdown_rows;

std::unique_ptr<MPIPoolExecutor> make() {
    return std::make_unique<MPIPoolExecutor>();
}

std::string status = "uninitialized";

void set_status(const std::string& text) {
    status = text;
}

std::string get_status() {
    return status;
}

void pass_and_fail(const std::string& gate) {
    test::pass(gate);
    throw std::invalid_argument("error in initializer");
}

}  // namespace

TEST_CASE(
    "ExecutorShutdownTest.test_run_after_shutdown, MPI: submit() is refused", "[mpi]"
) {
    MPIPoolExecutor executor;
    shutdown_rows::run_after_shutdown(executor);
}

TEST_CASE(
    "ExecutorShutdownTest.test_hang_issue12364, MPI: all results are there", "[mpi]"
) {
    MPIPoolExecutor executor(test::each_isolation());
    shutdown_rows::hang_issue12364(executor);
}

TEST_CASE(
    "ExecutorShutdownTest.test_cancel_futures, MPI: none is left pending", "[mpi]"
) {
    MPIPoolExecutor executor(test::each_isolation());
    shutdown_rows::cancel_futures(executor);
}

TEST_CASE(
    "ExecutorShutdownTest.test_hang_gh94440, MPI: cancel at once, then shutdown",
    "[mpi]"
) {
    shutdown_rows::hang_gh94440(make);
}

TEST_CASE(
    "ExecutorTest.test_shutdown_race_issue12456, MPI: map, then shutdown at once",
    "[mpi]"
) {
    CHECK(shutdown_rows::shutdown_race_issue12456(make));
}

TEST_CASE(
    "ThreadPoolShutdownTest.test_context_manager_shutdown, MPI: the scope waits",
    "[mpi]"
) {
    shutdown_rows::context_manager_shutdown<MPIPoolExecutor>();
}

TEST_CASE(
    "ThreadPoolShutdownTest.test_del_shutdown, MPI: dropping it finishes the work",
    "[mpi]"
) {
    shutdown_rows::del_shutdown<MPIPoolExecutor>();
}

TEST_CASE(
    "ThreadPoolShutdownTest.test_shutdown_no_wait, MPI: the work goes on", "[mpi]"
) {
    MPIPoolExecutor executor(test::each_isolation());
    shutdown_rows::shutdown_no_wait(executor);
}

TEST_CASE(
    "InitializerMixin.test_initializer, MPI: before each rank's first task", "[mpi]"
) {
    auto options = test::each_isolation();
    options.initializer = mp::call(set_status, std::string("initialized"));
    MPIPoolExecutor executor(options);
    std::vector<Future<std::string>> fs;
    for (int i = 0; i < 20; ++i) {
        fs.push_back(executor.submit(get_status));
    }
    for (const auto& f : fs) {
        CHECK(f.result(30s) == "initialized");
    }
}

TEST_CASE(
    "FailingInitializerMixin.test_initializer, MPI: the executor is broken", "[mpi]"
) {
    const Gate gate;
    MPIPoolExecutor executor({.initializer = mp::call(pass_and_fail, gate.path())});
    shutdown_rows::failing_initializer<futures::BrokenMPIPool>(executor, gate);
}

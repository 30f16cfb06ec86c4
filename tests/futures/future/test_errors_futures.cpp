// SPDX-License-Identifier: BSL-1.0
// The exceptions of libfutures: which `catch` gets them, and what WorkerLost carries.
#include "futures/errors.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"

#include <exception>
#include <stdexcept>
#include <string>
#include <type_traits>

TEST_CASE("futures errors: Python's bases catch them", "[errors]") {
    STATIC_REQUIRE(std::is_base_of_v<futures::Error, futures::CancelledError>);
    STATIC_REQUIRE(std::is_base_of_v<futures::Error, futures::InvalidStateError>);
    STATIC_REQUIRE(std::is_base_of_v<
                   futures::BrokenExecutor,
                   futures::BrokenThreadPool>);
    STATIC_REQUIRE(std::is_base_of_v<
                   futures::BrokenExecutor,
                   futures::BrokenProcessPool>);
    STATIC_REQUIRE(std::is_base_of_v<futures::BrokenProcessPool, futures::WorkerLost>);
    STATIC_REQUIRE(std::is_base_of_v<futures::TimeoutError, futures::TaskTimeout>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<futures::Error, futures::TimeoutError>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<futures::Error, futures::BrokenExecutor>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<
                         futures::BrokenExecutor,
                         futures::DeadlockError>);
}

TEST_CASE("futures errors: no TimeoutError is the other library's", "[errors]") {
    STATIC_REQUIRE_FALSE(std::is_base_of_v<mp::TimeoutError, futures::TimeoutError>);
    STATIC_REQUIRE_FALSE(std::is_base_of_v<futures::TimeoutError, mp::TimeoutError>);
}

TEST_CASE("CancelledError: has a text of its own or a given one", "[errors]") {
    CHECK(std::string(futures::CancelledError().what()) == "the future was cancelled");
    CHECK(std::string(futures::CancelledError("why").what()) == "why");
}

TEST_CASE("WorkerLost: its report is kept by copies", "[errors]") {
    futures::CrashReport report;
    report.task = "work(int)";
    report.pid = 42;
    report.signal = 11;
    const futures::WorkerLost lost("a worker is lost", report);
    const futures::WorkerLost copy = lost;
    CHECK(copy.report().task == "work(int)");
    CHECK(copy.report().pid == 42);
    CHECK(copy.report().signal == 11);
    CHECK(std::string(copy.what()) == "a worker is lost");
    // One report for all copies: copying it cannot fail.
    CHECK(&copy.report() == &lost.report());
    STATIC_REQUIRE(std::is_nothrow_copy_constructible_v<futures::WorkerLost>);
}

TEST_CASE("WorkerLost: what is not known keeps its initial value", "[errors]") {
    const futures::WorkerLost lost("lost", {});
    CHECK(lost.report().task.empty());
    CHECK(lost.report().pid == 0);
    CHECK_FALSE(lost.report().signal);
    CHECK_FALSE(lost.report().exit_code);
    CHECK(lost.report().fault_address == 0);
    CHECK(lost.report().peak_memory_bytes == 0);
    try {
        std::rethrow_exception(std::make_exception_ptr(lost));
    } catch (const futures::BrokenProcessPool& broken) {
        CHECK(dynamic_cast<const futures::WorkerLost*>(&broken) != nullptr);
    }
}

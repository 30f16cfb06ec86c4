// SPDX-License-Identifier: BSL-1.0
// The exceptions of libfutures: which `catch` gets them, and what WorkerLost carries.
#include "futures/errors.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"

#include <chrono>
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

TEST_CASE("CrashReport: says in one line how the worker ended", "[errors]") {
    futures::CrashReport report;
    CHECK(report.cause() == "is gone");
    report.exit_code = 3;
    CHECK(report.cause() == "exited with code 3");
    report.exit_code.reset();
    report.signal = 9;
    CHECK(report.cause() == "was killed by signal 9 (SIGKILL)");
    report.out_of_memory = true;
    CHECK_THAT(report.cause(), test::ContainsSubstring("OOM killer"));
    report.out_of_memory = false;
    report.signal = 6;
    report.core_dumped = true;
    report.message = "first\n" + std::string(1000, 'x');
    const std::string cause = report.cause();
    CHECK_THAT(cause, test::ContainsSubstring("(SIGABRT) and left a core dump: first"));
    CHECK(cause.find('\n') == std::string::npos);
    CHECK(cause.size() < 400);
}

TEST_CASE("CrashReport: as a block it has all that is known", "[errors]") {
    futures::CrashReport report;
    report.task = "work(int)";
    report.worker = "w_0";
    report.pid = 42;
    report.attempt = 2;
    report.ran_for = std::chrono::milliseconds(1500);
    report.signal = 11;
    report.si_code = 1;
    report.fault_address = 0x10;
    report.message = "one\ntwo";
    report.stack = "inner\nagain\nagain\nagain\nouter\n";
    report.peak_memory_bytes = std::size_t{3} << 19U;
    report.cpu_time = std::chrono::milliseconds(20);
    report.last_stdout = "said\n";
    report.last_stderr = "cried\nloud\n";
    CHECK(
        report.to_string() ==
        "worker 'w_0' (pid 42) was killed by signal 11 (SIGSEGV) at address 0x10: "
        "nothing is mapped there: one two\n"
        "  task: work(int), attempt 2, ran for 1.5 s\n"
        "  message:\n    one\n    two\n"
        "  used: at most 1.5 MiB of memory, 0.02 s of CPU time\n"
        "  stack:\n    inner\n    again (3 times)\n    outer\n"
        "  end of stdout:\n    said\n"
        "  end of stderr:\n    cried\n    loud\n"
    );
}

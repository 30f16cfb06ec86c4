// SPDX-License-Identifier: BSL-1.0
// The exceptions of futures: they arrive as themselves in another process.
#include "futures/future.hpp"
#include "mp/remote_error.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <string>

namespace {

std::exception_ptr sent(const std::exception_ptr& error) {
    mp::detail::ByteWriter out;
    mp::detail::encode_exception(out, error);
    mp::detail::ByteReader in(out.data());
    return mp::detail::decode_exception(in);
}

/// An E with this text comes back as exactly an E with this text.
template <class E>
void comes_back() {
    try {
        std::rethrow_exception(sent(std::make_exception_ptr(E("a text"))));
    } catch (const mp::RemoteError&) {
        FAIL("it was not rebuilt");
    } catch (const E& error) {
        CHECK(std::string(error.what()) == "a text");
    }
}

}  // namespace

TEST_CASE("error_types: what futures throw arrives as itself in another process") {
    // Using a future is all that it takes.
    CHECK_FALSE(futures::Future<int>().done());
    comes_back<futures::Error>();
    comes_back<futures::CancelledError>();
    comes_back<futures::InvalidStateError>();
    comes_back<futures::TimeoutError>();
    comes_back<futures::TaskTimeout>();
    comes_back<futures::BrokenExecutor>();
    comes_back<futures::BrokenThreadPool>();
    comes_back<futures::BrokenProcessPool>();
    comes_back<futures::DeadlockError>();
}

TEST_CASE("error_types: WorkerLost brings its crash report") {
    CHECK_FALSE(futures::Future<int>().done());
    futures::CrashReport report;
    report.task = "task";
    report.worker = "worker";
    report.pid = 7;
    report.signal = 11;
    report.fault_address = 0x10;
    report.stack = "frame";
    report.peak_memory_bytes = 4096;
    report.last_output = "oh";
    report.attempt = 2;
    report.ran_for = std::chrono::milliseconds(250);
    report.si_code = 1;
    report.core_dumped = true;
    report.out_of_memory = true;
    report.stack_overflow = true;
    report.message = "why";
    report.cpu_time = std::chrono::milliseconds(40);
    report.last_stdout = "out";
    report.last_stderr = "err";
    const futures::WorkerLost lost("lost", report);
    try {
        std::rethrow_exception(sent(std::make_exception_ptr(lost)));
    } catch (const futures::WorkerLost& error) {
        CHECK(std::string(error.what()) == "lost");
        CHECK(error.report().task == "task");
        CHECK(error.report().worker == "worker");
        CHECK(error.report().pid == 7);
        CHECK(error.report().signal == 11);
        CHECK_FALSE(error.report().exit_code.has_value());
        CHECK(error.report().fault_address == 0x10);
        CHECK(error.report().stack == "frame");
        CHECK(error.report().peak_memory_bytes == 4096);
        CHECK(error.report().last_output == "oh");
        CHECK(error.report().attempt == 2);
        CHECK(error.report().ran_for == std::chrono::milliseconds(250));
        CHECK(error.report().si_code == 1);
        CHECK(error.report().core_dumped);
        CHECK(error.report().out_of_memory);
        CHECK(error.report().stack_overflow);
        CHECK(error.report().message == "why");
        CHECK(error.report().cpu_time == std::chrono::milliseconds(40));
        CHECK(error.report().last_stdout == "out");
        CHECK(error.report().last_stderr == "err");
        CHECK(error.report().to_string() == report.to_string());
    }
}

// SPDX-License-Identifier: BSL-1.0
// Start methods and contexts, by the rows of the conformance table.
#include "mp/log.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

using namespace std::chrono_literals;

namespace {

void do_nothing() {}

// Atomic, so that no compiler drops the store: a leak sanitizer looks here.
std::atomic<mp::Finalize*> kept_finalizer = nullptr;

void report_method(mp::Connection out) {
    out.send(std::string(mp::to_string(mp::get_start_method())));
}

}  // namespace

TEST_CASE(
    "TestCloseFds.test_closefd: other descriptors are not inherited", "[process]"
) {
    const mp::Context ctx = each_start_method();
    const int high = ::fcntl(0, F_DUPFD, 200);
    REQUIRE(high >= 200);
    mp::Process p = ctx.Process(
        [](int fd) { throw mp::SystemExit(::fcntl(fd, F_GETFD) < 0 ? 3 : 4); }, high
    );
    mp::stop_helpers();
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == (ctx.get_start_method() == mp::StartMethod::fork ? 4 : 3));
    ::close(high);
}

TEST_CASE(
    "TestStartMethod.test_context: a context is bound to its method", "[process]"
) {
    for (const mp::StartMethod method : mp::get_all_start_methods()) {
        const mp::Context ctx = mp::get_context(mp::to_string(method));
        CHECK(ctx.get_start_method() == method);
        CHECK(ctx.get_context() == ctx);
        CHECK_THROWS_AS(
            ctx.set_start_method(mp::StartMethod::spawn), std::invalid_argument
        );
        auto [reader, writer] = mp::Pipe({.duplex = false});
        mp::Process p = ctx.Process(
            [](mp::Connection out) { out.send(mp::current_process().name()); }, writer
        );
        p.start();
        const auto name = reader.recv<std::string>();
        CHECK(name == p.name());
        CHECK(p.join(20s));
        CHECK(p.exitcode() == 0);
    }
    CHECK_THROWS_AS(mp::get_context("xxx"), std::invalid_argument);
}

// The next two need the start method to be open yet: each runs in a child of its own,
// whose state is fresh.
TEST_CASE(
    "TestStartMethod.test_spawn_dont_set_context: a concrete context settles nothing",
    "[process]"
) {
    mp::detail::inherit_start_method(std::nullopt);
    mp::Process p = mp::get_context("spawn").Process(do_nothing);
    p.start();
    CHECK(p.join(20s));
    CHECK_FALSE(mp::get_start_method({.allow_none = true}));
}

TEST_CASE(
    "TestStartMethod.test_freeze_support_dont_set_context: the choice stays open",
    "[process]"
) {
    mp::detail::inherit_start_method(std::nullopt);
    char name[] = "program";
    char* arguments[] = {name, nullptr};
    mp::freeze_support(1, arguments);
    CHECK_FALSE(mp::get_start_method({.allow_none = true}));
    mp::set_start_method("spawn");
    CHECK(mp::get_start_method() == "spawn");
    CHECK_THROWS_AS(mp::set_start_method("fork"), mp::StateError);
    mp::detail::inherit_start_method(std::nullopt);
}

TEST_CASE("TestStartMethod.test_set_get: children report the method", "[process]") {
    CHECK_THROWS_AS(
        mp::set_start_method("xxx", {.force = true}), std::invalid_argument
    );
    for (const mp::StartMethod method : mp::get_all_start_methods()) {
        mp::set_start_method(method, {.force = true});
        CHECK(mp::get_start_method() == method);
        CHECK(mp::get_context().get_start_method() == method);
        auto [reader, writer] = mp::Pipe({.duplex = false});
        mp::Process p(report_method, writer);
        p.start();
        CHECK(reader.recv<std::string>() == mp::to_string(method));
        CHECK(p.join(20s));
    }
}

TEST_CASE("TestStartMethod.test_get_all: three methods", "[process]") {
    const auto all = mp::get_all_start_methods();
    REQUIRE(all.size() == 3);
    for (const char* name : {"fork", "spawn", "forkserver"}) {
        CHECK(std::count(all.begin(), all.end(), mp::start_method_from(name)) == 1);
    }
}

TEST_CASE(
    "TestStartMethod.test_get_all_start_methods: the default is first and not fork",
    "[process]"
) {
    mp::detail::inherit_start_method(std::nullopt);
    CHECK(mp::get_all_start_methods().front() == mp::get_start_method());
    CHECK(mp::get_all_start_methods().front() == mp::StartMethod::forkserver);
}

TEST_CASE(
    "TestStartMethod.test_mixed_startmethod: what one method made, another takes",
    "[process]"
) {
    // Python's primitives of a fork context go to forked children only. Ours travel by
    // descriptor, so any method takes them.
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process first = mp::get_context("fork").Process(report_method, writer);
    first.start();
    mp::Process second = ctx.Process(report_method, writer);
    second.start();
    CHECK_NOTHROW(reader.recv<std::string>());
    CHECK_NOTHROW(reader.recv<std::string>());
    CHECK(first.join(20s));
    CHECK(second.join(20s));
}

namespace {

void hand_on(mp::StartMethod method, mp::Connection out) {
    mp::Process inner =
        mp::get_context(method).Process([](mp::Connection to) { to.send(2); }, out);
    inner.start();
    inner.join();
    out.send(1);
}

}  // namespace

TEST_CASE(
    "TestStartMethod.test_nested_startmethod: a received end is handed on", "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(hand_on, ctx.get_start_method(), writer);
    p.start();
    CHECK(reader.recv<int>() == 2);
    CHECK(reader.recv<int>() == 1);
    CHECK(p.join(20s));
}

TEST_CASE(
    "_TestAtExit.test_atexit: handlers registered in the child run", "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) {
            // Never destroyed: the exit step runs after the destructors of younger
            // statics.
            static auto& kept = *new mp::Connection(out);
            std::atexit([] { kept.send(std::string("by std::atexit")); });
            // Kept: a Finalize that is destroyed runs then.
            kept_finalizer =
                new mp::Finalize([] { kept.send(std::string("by Finalize")); }, 1);
        },
        writer
    );
    p.start();
    writer.close();
    CHECK(reader.recv<std::string>() == "by std::atexit");
    CHECK(reader.recv<std::string>() == "by Finalize");
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

namespace {

// How often the warning appears when a process with another thread forks twice.
void fork_with_a_thread(mp::Connection out) {
    std::ostringstream log;
    mp::get_logger().sinks().push_back(
        std::make_shared<spdlog::sinks::ostream_sink_mt>(log)
    );
    auto [gate, threads_gate] = mp::Pipe();
    std::thread other([in = threads_gate]() mutable { in.recv<int>(); });
    int good = 0;
    for (int i = 0; i < 2; ++i) {
        mp::Process p({.start_method = mp::StartMethod::fork}, do_nothing);
        p.start();
        p.join();
        good += p.exitcode() == 0 ? 1 : 0;
    }
    gate.send(1);
    other.join();
    out.send(good);
    out.send(log.str());
}

}  // namespace

TEST_CASE("ForkInThreads.test_fork: a warning, once, and both go on", "[process]") {
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p({.start_method = mp::StartMethod::spawn}, fork_with_a_thread, writer);
    p.start();
    CHECK(reader.recv<int>() == 2);
    const auto log = reader.recv<std::string>();
    const auto first = log.find("deadlock");
    CHECK(first != std::string::npos);
    CHECK(log.find("deadlock", first + 1) == std::string::npos);
    CHECK(p.join(20s));
}

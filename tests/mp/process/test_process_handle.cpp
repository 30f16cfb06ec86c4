// SPDX-License-Identifier: BSL-1.0
// ProcessHandle: it watches and signals a child, and needs no Process object for that.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/process_handle.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <poll.h>
#include <signal.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

namespace {

void do_nothing() {}

void leave_with(int code) {
    throw mp::SystemExit(code);
}

/// Started; the object that started it is gone.
template <class... Args>
mp::ProcessHandle handle_of(const mp::Context& ctx, Args... args) {
    mp::Process process = ctx.Process(args...);
    process.start();
    return process.handle();
}

bool is_readable(int fd) {
    pollfd poller{fd, POLLIN, 0};
    return ::poll(&poller, 1, 0) == 1;
}

}  // namespace

TEST_CASE("ProcessHandle: there is one from start() on", "[process]") {
    mp::Process process = each_start_method().Process(do_nothing);
    CHECK_THROWS_AS(process.handle(), mp::StateError);
    process.start();
    CHECK_NOTHROW(process.handle());
    process.join();
    CHECK_NOTHROW(process.handle());
}

TEST_CASE("ProcessHandle: says of the child what its object says", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::Process process =
        ctx.Process({.name = "watched", .daemon = true}, test::block_until_killed);
    process.start();
    const mp::ProcessHandle handle = process.handle();
    CHECK(handle.name() == "watched");
    CHECK(handle.pid() == process.pid());
    CHECK(handle.ident() == process.pid());
    CHECK(handle.daemon());
    CHECK(handle.sentinel() == process.sentinel());
    CHECK(handle.is_alive());
    CHECK_FALSE(handle.exitcode());
    CHECK_FALSE(handle.join(0s));
    handle.kill();
    CHECK(handle.join(20s));
    CHECK(process.exitcode() == handle.exitcode());
    CHECK(process.join(0s));
}

TEST_CASE("ProcessHandle: outlives the object that started the child", "[process]") {
    const mp::ProcessHandle handle = handle_of(each_start_method(), leave_with, 5);
    CHECK(handle.join(20s));
    CHECK_FALSE(handle.is_alive());
    CHECK(handle.exitcode() == 5);
    // As often as anybody asks.
    CHECK(handle.join());
    CHECK(handle.exitcode() == 5);
}

TEST_CASE("ProcessHandle: its sentinel is readable at the child's end", "[process]") {
    const mp::ProcessHandle handle =
        handle_of(each_start_method(), test::block_until_killed);
    CHECK_FALSE(is_readable(handle.sentinel()));
    handle.terminate();
    CHECK(handle.join(20s));
    CHECK(is_readable(handle.sentinel()));
}

TEST_CASE("ProcessHandle: sends the three signals", "[process]") {
    const mp::Context ctx = each_start_method();
    const mp::ProcessHandle terminated = handle_of(ctx, test::block_until_killed);
    terminated.terminate();
    CHECK(terminated.join(20s));
    CHECK(terminated.exitcode() == -SIGTERM);
    const mp::ProcessHandle killed = handle_of(ctx, test::block_until_killed);
    killed.kill();
    CHECK(killed.join(20s));
    CHECK(killed.exitcode() == -SIGKILL);
    const mp::ProcessHandle interrupted = handle_of(ctx, test::block_until_killed);
    interrupted.interrupt();
    CHECK(interrupted.join(20s));
    CHECK(interrupted.exitcode() == -SIGINT);
    // To a child that has ended they are nothing.
    CHECK_NOTHROW(killed.terminate());
    CHECK_NOTHROW(killed.kill());
    CHECK(killed.exitcode() == -SIGKILL);
}

TEST_CASE("ProcessHandle: copies and other threads see the same child", "[process]") {
    const mp::ProcessHandle handle =
        handle_of(each_start_method(), test::block_until_killed);
    mp::ProcessHandle copy = handle;
    bool ended = false;
    std::thread waiter([&] { ended = copy.join(20s); });
    handle.kill();
    waiter.join();
    CHECK(ended);
    CHECK(copy.exitcode() == -SIGKILL);
    CHECK(handle.exitcode() == -SIGKILL);
}

TEST_CASE("ProcessHandle: active_children() gives them", "[process]") {
    const mp::Context ctx = each_start_method();
    const mp::ProcessHandle handle = handle_of(ctx, test::block_until_killed);
    const auto children = mp::active_children();
    REQUIRE(children.size() == 1);
    CHECK(children.front().pid() == handle.pid());
    children.front().kill();
    CHECK(handle.join(20s));
    CHECK(mp::active_children().empty());
}

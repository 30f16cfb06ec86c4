// SPDX-License-Identifier: BSL-1.0
// How a Process runs and ends, by the rows of the conformance table.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::block_until_killed;

namespace {

void do_nothing() {}

bool is_listed(const mp::Process& process) {
    const auto children = mp::active_children();
    return std::any_of(
        children.begin(),
        children.end(),
        [&](const mp::ProcessHandle& child) { return child.pid() == process.pid(); }
    );
}

void check_ending(const mp::Context& ctx, void (mp::BaseProcess::*end)(), int signal) {
    mp::Process p = ctx.Process({.daemon = true}, block_until_killed);
    p.start();
    CHECK(p.is_alive());
    CHECK(is_listed(p));
    CHECK_FALSE(p.exitcode());
    CHECK_FALSE(p.join(0s));
    CHECK_FALSE(p.join(-1s));
    CHECK(p.is_alive());
    (p.*end)();
    CHECK(p.join(20s));
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(is_listed(p));
    CHECK(p.join());
    CHECK(p.exitcode() == -signal);
}

}  // namespace

TEST_CASE("_TestProcess.test_process: the life of a named daemon", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        {.name = "a name", .daemon = true},
        [](mp::Connection out, int number) {
            mp::BaseProcess& self = mp::current_process();
            out.send(number);
            out.send(self.name());
            out.send(static_cast<int>(self.pid()));
            const auto key = self.authkey().bytes();
            out.send_bytes(key);
        },
        writer,
        5
    );
    CHECK(p.authkey() == mp::current_process().authkey());
    CHECK_FALSE(p.is_alive());
    CHECK(p.daemon());
    CHECK_FALSE(p.exitcode());
    CHECK_FALSE(is_listed(p));
    p.start();
    CHECK(reader.recv<int>() == 5);
    CHECK(reader.recv<std::string>() == "a name");
    CHECK(reader.recv<int>() == p.pid());
    const auto key = reader.recv_bytes();
    const auto own = mp::current_process().authkey().bytes();
    CHECK(std::equal(key.begin(), key.end(), own.begin(), own.end()));
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(is_listed(p));
}

TEST_CASE(
    "_TestProcess.test_interrupt: SIGINT ends a child that does not handle it",
    "[process]"
) {
    // Python's child turns it into KeyboardInterrupt and exit code 1; C++ has no
    // handler of its own, so the default action ends the child.
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(block_until_killed);
    p.start();
    p.interrupt();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == -SIGINT);
}

TEST_CASE(
    "_TestProcess.test_interrupt_no_handler: the default action of SIGINT", "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) {
            ::signal(SIGINT, SIG_DFL);
            out.send(1);
            block_until_killed();
        },
        writer
    );
    p.start();
    CHECK(reader.recv<int>() == 1);
    p.interrupt();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == -SIGINT);
}

TEST_CASE("_TestProcess.test_terminate: SIGTERM", "[process]") {
    check_ending(each_start_method(), &mp::BaseProcess::terminate, SIGTERM);
}

TEST_CASE("_TestProcess.test_kill: SIGKILL", "[process]") {
    check_ending(each_start_method(), &mp::BaseProcess::kill, SIGKILL);
}

TEST_CASE("_TestProcess.test_active_children: only while they run", "[process]") {
    const mp::Context ctx = each_start_method();
    CHECK(mp::active_children().empty());
    mp::Process p = ctx.Process(block_until_killed);
    CHECK_FALSE(is_listed(p));
    p.start();
    CHECK(is_listed(p));
    p.kill();
    CHECK(p.join(20s));
    CHECK_FALSE(is_listed(p));
}

TEST_CASE("_TestProcess.test_sentinel: ready from the end on", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [ours, childs] = mp::Pipe();
    mp::Process p = ctx.Process([](mp::Connection in) { in.recv<int>(); }, childs);
    CHECK_THROWS_AS(p.sentinel(), std::invalid_argument);
    p.start();
    const int sentinel = p.sentinel();
    CHECK(mp::connection::wait({sentinel}, 0s).empty());
    ours.send(1);
    CHECK(mp::connection::wait({sentinel}, 20s).size() == 1);
    CHECK(p.join(20s));
    CHECK(mp::connection::wait({sentinel}, 0s).size() == 1);
}

TEST_CASE("_TestProcess.test_close: afterwards nothing works", "[process]") {
    const mp::Context ctx = each_start_method();
    auto [ours, childs] = mp::Pipe();
    mp::Process p = ctx.Process([](mp::Connection in) { in.recv<int>(); }, childs);
    p.start();
    CHECK(p.is_alive());
    CHECK_THROWS_AS(p.close(), std::invalid_argument);
    ours.send(1);
    CHECK(p.join(20s));
    p.close();
    CHECK_THROWS_AS(p.is_alive(), mp::StateError);
    CHECK_THROWS_AS(p.join(), mp::StateError);
    CHECK_THROWS_AS(p.terminate(), mp::StateError);
    p.close();
    CHECK(mp::active_children().empty());
}

TEST_CASE("_TestProcess.test_many_processes: all end, all are told", "[process]") {
    const mp::Context ctx = each_start_method();
    const int count = ctx.get_start_method() == mp::StartMethod::spawn ? 5 : 100;
    std::vector<mp::Process> processes;
    for (int i = 0; i < count; ++i) {
        processes.push_back(ctx.Process(do_nothing));
        processes.back().start();
    }
    for (auto& p : processes) {
        REQUIRE(p.join(30s));
        CHECK(p.exitcode() == 0);
    }
    processes.clear();
    for (int i = 0; i < count; ++i) {
        processes.push_back(ctx.Process(block_until_killed));
        processes.back().start();
        processes.back().terminate();
    }
    for (auto& p : processes) {
        REQUIRE(p.join(30s));
        CHECK(p.exitcode() == -SIGTERM);
    }
}

TEST_CASE(
    "_TestProcess.test_wait_for_threads: an owned thread is joined, a detached one is "
    "not",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection out) {
            // A thread that must end before its process has an owner that exit()
            // destroys.
            static std::jthread owned([out]() mutable { out.send(1); });
            std::thread([] { block_until_killed(); }).detach();
        },
        writer
    );
    p.start();
    writer.close();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
    REQUIRE(reader.poll(20s));
    CHECK(reader.recv<int>() == 1);
}

TEST_CASE("_TestPollEintr.test_poll_eintr: a signal does not end join", "[process]") {
    const mp::Context ctx = each_start_method();
    struct sigaction handle {};
    static std::atomic<int> seen{0};
    seen = 0;
    handle.sa_handler = [](int) {
        seen.fetch_add(1);
    };
    struct sigaction before {};
    ::sigaction(SIGUSR1, &handle, &before);
    mp::Process p =
        ctx.Process([](int parent) { ::kill(parent, SIGUSR1); }, ::getpid());
    p.start();
    CHECK(p.join());
    CHECK(p.exitcode() == 0);
    CHECK(seen == 1);
    ::sigaction(SIGUSR1, &before, nullptr);
}

// SPDX-License-Identifier: BSL-1.0
// Process: starting, ending, subclasses, misuse, and children that fail.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/sanitizer.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::block_until_killed;

namespace {

void do_nothing() {}

void exit_with(int code) {
    ::_exit(code);
}

void throw_exit(int code) {
    throw mp::SystemExit(code);
}

void throw_error() {
    throw std::runtime_error("what the target says");
}

void expect_arguments(int number, std::string text, std::vector<double> list) {
    ::_exit(
        number == 7 && text == "seven" && list == std::vector<double>{1, 2.5} ? 0 : 3
    );
}

struct Accumulator {
    int base = 0;

    void operator()(int more) const { ::_exit(base + more); }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& base;
    }
};

struct Loader : mp::ProcessOf<Loader> {
    int code = 0;

    void run() override { throw mp::SystemExit(code); }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& code;
    }
};

struct Silent : mp::ProcessOf<Silent> {
    void run() override { throw mp::SystemExit(9); }
};

struct ForkOnly : mp::BaseProcess {
    using BaseProcess::BaseProcess;

    int code = 0;

    void run() override { throw mp::SystemExit(code); }
};

int joined_code(mp::BaseProcess& process) {
    process.start();
    REQUIRE(process.join(20s));
    return process.exitcode().value_or(-1000);
}

}  // namespace

TEST_CASE("Process: its end is told as Python tells it", "[process]") {
    const mp::Context ctx = each_start_method();
    CHECK(joined_code(*std::make_unique<mp::Process>(ctx.Process(do_nothing))) == 0);
    CHECK(
        joined_code(*std::make_unique<mp::Process>(ctx.Process(exit_with, 42))) == 42
    );
    CHECK(
        joined_code(*std::make_unique<mp::Process>(ctx.Process(throw_exit, 256))) == 0
    );
    CHECK(
        joined_code(*std::make_unique<mp::Process>(ctx.Process(throw_exit, -1))) == 255
    );
    CHECK(joined_code(*std::make_unique<mp::Process>(ctx.Process(throw_error))) == 1);
    CHECK(joined_code(*std::make_unique<mp::Process>(ctx.Process())) == 0);
    mp::Process aborting = ctx.Process([] { ::raise(SIGKILL); });
    CHECK(joined_code(aborting) == -SIGKILL);
}

TEST_CASE("Process: arguments of every kind arrive", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::Process p =
        ctx.Process(expect_arguments, 7, "seven", std::vector<double>{1, 2.5});
    CHECK(joined_code(p) == 0);
    mp::Process object = ctx.Process(Accumulator{.base = 40}, 2);
    CHECK(joined_code(object) == 42);
    mp::Process lambda = ctx.Process([](int n) { ::_exit(n + 1); }, 6);
    CHECK(joined_code(lambda) == 7);
}

TEST_CASE("Process: subclasses with their own run()", "[process]") {
    const mp::Context ctx = each_start_method();
    const auto method = ctx.get_start_method();
    Loader loader;
    loader.code = 17;
    mp::set_start_method(method, {.force = true});
    CHECK(loader.name().rfind("Loader-", 0) == 0);
    CHECK(joined_code(loader) == 17);
    Silent silent;
    CHECK(joined_code(silent) == 9);

    ForkOnly plain;
    plain.code = 5;
    if (method == mp::StartMethod::fork) {
        CHECK(joined_code(plain) == 5);
    } else {
        CHECK_THROWS_AS(plain.start(), mp::SpawnError);
        CHECK(mp::active_children().empty());
    }
}

TEST_CASE("Process: a capturing closure runs under fork only", "[process]") {
    const mp::Context ctx = each_start_method();
    int captured = 11;
    mp::Process p = ctx.Process([captured] { ::_exit(captured); });
    if (ctx.get_start_method() == mp::StartMethod::fork) {
        CHECK(joined_code(p) == 11);
    } else {
        try {
            p.start();
            FAIL("it started");
        } catch (const mp::SpawnError& error) {
            CHECK(error.stage == mp::SpawnStage::arguments);
        }
        CHECK(p.pid() == 0);
    }
}

TEST_CASE("Process: misuse is a StateError", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process(do_nothing);
    CHECK_THROWS_AS(p.join(), mp::StateError);
    CHECK_THROWS_AS(p.sentinel(), mp::StateError);
    CHECK_THROWS_AS(p.terminate(), mp::StateError);
    CHECK_FALSE(p.is_alive());
    CHECK_FALSE(p.exitcode());
    p.start();
    CHECK_THROWS_AS(p.start(), mp::StateError);
    CHECK_THROWS_AS(p.set_daemon(true), mp::StateError);
    CHECK(p.join(20s));
    CHECK_THROWS_AS(mp::current_process().join(), mp::StateError);
}

TEST_CASE("Process: a daemon may not have children", "[process]") {
    const mp::Context ctx = each_start_method();
    mp::Process p = ctx.Process({.daemon = true}, [] {
        mp::Process child(do_nothing);
        try {
            child.start();
        } catch (const mp::StateError&) {
            ::_exit(4);
        }
    });
    CHECK(p.daemon());
    CHECK(joined_code(p) == 4);
}

TEST_CASE(
    "Process: dropping the object leaves the child in active_children", "[process]"
) {
    const mp::Context ctx = each_start_method();
    {
        mp::Process p = ctx.Process(block_until_killed);
        p.start();
    }
    auto children = mp::active_children();
    REQUIRE(children.size() == 1);
    CHECK(children[0].is_alive());
    children[0].kill();
    CHECK(children[0].join(20s));
    CHECK(children[0].exitcode() == -SIGKILL);
    CHECK(mp::active_children().empty());
}

// ThreadSanitizer makes vfork a fork: the child cannot say why it failed.
TEST_CASE(
    "Process: a program that is no copy of this one is refused", "[process][no-tsan]"
) {
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    mp::stop_helpers();
    mp::set_executable("/nonexistent/program");
    mp::Process p({.start_method = method}, do_nothing);
    try {
        p.start();
        FAIL("it started");
    } catch (const mp::SpawnError& error) {
        CHECK(error.stage == mp::SpawnStage::exec);
    }
    mp::set_executable("/bin/true");
    mp::Process q({.start_method = method}, do_nothing);
    try {
        q.start();
        FAIL("it started");
    } catch (const mp::SpawnError& error) {
        CHECK(error.stage == mp::SpawnStage::handshake);
        CHECK(std::string(error.what()).find("freeze_support") != std::string::npos);
    }
    mp::set_executable("");
    CHECK(mp::active_children().empty());
}

TEST_CASE("Process: a child that never answers is killed at the timeout", "[process]") {
    const auto method = GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver);
    mp::stop_helpers();
    mp::set_executable("/bin/cat");
    mp::Process p({.start_method = method, .start_timeout = 100ms}, do_nothing);
    // cat complains about its arguments and ends, or reads for ever: an error either
    // way.
    CHECK_THROWS_AS(p.start(), mp::SpawnError);
    mp::set_executable("");
    CHECK(mp::active_children().empty());
}

TEST_CASE("Process: an ignored SIGCHLD loses no child", "[process]") {
    const mp::Context ctx = each_start_method();
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    struct sigaction before {};
    ::sigaction(SIGCHLD, &ignore, &before);
    for (int i = 0; i < 5; ++i) {
        mp::Process p = ctx.Process(exit_with, 3);
        const int code = joined_code(p);
        // The kernel reaps by itself; what it remembers depends on its version.
        CHECK((code == 3 || code == 255));
    }
    mp::stop_helpers();
    ::sigaction(SIGCHLD, &before, nullptr);
}

TEST_CASE("Process: many threads start children at once", "[process]") {
    const mp::Context ctx = each_start_method();
    const bool sanitized = test::under_asan || test::under_tsan;
    if (sanitized && ctx.get_start_method() == mp::StartMethod::fork) {
        return;  // its allocator forgets to unlock itself in a forked child
    }
    std::atomic<int> good{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5; ++i) {
                mp::Process p = ctx.Process(exit_with, i);
                p.start();
                if (p.join(20s) && p.exitcode() == i) {
                    good.fetch_add(1);
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(good == 20);
}

TEST_CASE("Process: start_together starts all and waits for all", "[process]") {
    const mp::Context ctx = each_start_method();
    std::vector<mp::Process> processes;
    std::vector<mp::BaseProcess*> pointers;
    for (int i = 0; i < 4; ++i) {
        processes.push_back(ctx.Process(exit_with, i));
    }
    for (auto& process : processes) {
        pointers.push_back(&process);
    }
    mp::detail::start_together(pointers);
    for (int i = 0; i < 4; ++i) {
        REQUIRE(processes[static_cast<std::size_t>(i)].join(20s));
        CHECK(processes[static_cast<std::size_t>(i)].exitcode() == i);
    }
}

TEST_CASE(
    "Process: die_with_parent ends a computing child of a killed parent", "[process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process middle = ctx.Process(
        [](mp::StartMethod method, mp::Connection out) {
            mp::Process inner = mp::get_context(method).Process(
                {.die_with_parent = true},
                [](mp::Connection held) {
                    held.send(static_cast<int>(::getpid()));
                    for (std::atomic<unsigned> i = 0;; ++i) {
                    }
                },
                out
            );
            inner.start();
            block_until_killed();
        },
        ctx.get_start_method(),
        writer
    );
    middle.start();
    writer.close();
    CHECK(reader.recv<int>() > 0);
    middle.kill();
    CHECK(middle.join(20s));
    // The write end is gone everywhere: the computing child is dead too.
    REQUIRE(reader.poll(10s));
    CHECK_THROWS_AS(reader.recv<int>(), mp::EOFError);
}

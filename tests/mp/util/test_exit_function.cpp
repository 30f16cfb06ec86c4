// SPDX-License-Identifier: BSL-1.0
// What happens at the exit of a process, and in which order.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"
#include "util/exit_function.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using test::block_until_killed;

namespace {

// Atomic, so that no compiler drops the store: a leak sanitizer looks here.
std::atomic<std::vector<mp::Finalize>*> kept_finalizers = nullptr;

}  // namespace

TEST_CASE("exit: parts run by phase, newest first, then late finalizers", "[exit]") {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process p = ctx.Process(
        [](mp::Connection to) {
            // Never destroyed: the exit step runs after the destructors of younger
            // statics.
            static auto& out = *new mp::Connection(to);
            const auto say = [](const char* text) {
                return [text] {
                    out.send(std::string(text));
                };
            };
            using mp::detail::add_exit_part;
            using mp::detail::ExitPhase;
            add_exit_part(ExitPhase::executors, say("executor 1"));
            add_exit_part(ExitPhase::executors, say("executor 2"));
            add_exit_part(ExitPhase::children, say("children"));
            // Kept: a Finalize that is destroyed runs then.
            auto& finalizers = *new std::vector<mp::Finalize>;
            kept_finalizers = &finalizers;
            finalizers.emplace_back(say("priority -5"), -5);
            finalizers.emplace_back(say("priority 0"), 0);
            finalizers.emplace_back(say("priority 10"), 10);
            const int dropped = add_exit_part(ExitPhase::executors, say("dropped"));
            mp::detail::drop_exit_part(dropped);
        },
        writer
    );
    p.start();
    writer.close();
    for (const char* text :
         {"executor 2",
          "executor 1",
          "priority 10",
          "priority 0",
          "children",
          "priority -5"}) {
        REQUIRE(reader.poll(20s));
        CHECK(reader.recv<std::string>() == text);
    }
    CHECK_THROWS_AS(reader.recv<std::string>(), mp::EOFError);
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("exit: daemons are terminated, other children joined", "[exit]") {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe({.duplex = false});
    auto [gate, childs_gate] = mp::Pipe();
    mp::Process p = ctx.Process(
        [](mp::StartMethod method, mp::Connection out, mp::Connection in) {
            mp::Process daemon =
                mp::get_context(method).Process({.daemon = true}, block_until_killed);
            daemon.start();
            mp::Process worker = mp::get_context(method).Process(
                [](mp::Connection to, mp::Connection from) {
                    from.recv<int>();
                    to.send(std::string("worker done"));
                },
                out,
                in
            );
            worker.start();
            out.send(static_cast<int>(daemon.pid()));
        },
        ctx.get_start_method(),
        writer,
        childs_gate
    );
    p.start();
    writer.close();
    const int daemon = reader.recv<int>();
    CHECK_FALSE(p.join(0s));
    gate.send(1);
    CHECK(reader.recv<std::string>() == "worker done");
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
    // Reaped by its parent or, under forkserver, by that parent's server.
    CHECK_THROWS_AS(reader.recv<int>(), mp::EOFError);
    CHECK((::kill(daemon, 0) != 0));
}

TEST_CASE(
    "exit: exit(n) in a forked child runs none of the parent's handlers", "[exit]"
) {
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process outer(
        {.start_method = mp::StartMethod::spawn},
        [](mp::Connection to) {
            // Never destroyed: the exit step runs after the destructors of younger
            // statics.
            static auto& out = *new mp::Connection(to);
            std::atexit([] { out.send(static_cast<int>(::getpid())); });
            mp::Process inner({.start_method = mp::StartMethod::fork}, [] {
                std::exit(7);
            });
            inner.start();
            inner.join();
            out.send(inner.exitcode().value_or(-1));
        },
        writer
    );
    outer.start();
    writer.close();
    CHECK(reader.recv<int>() == 7);
    CHECK(reader.recv<int>() == outer.pid());
    CHECK_THROWS_AS(reader.recv<int>(), mp::EOFError);
    CHECK(outer.join(20s));
}

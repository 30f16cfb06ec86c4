// SPDX-License-Identifier: BSL-1.0
// Logging, finalizers and hooks after a fork, by the rows of the conformance table; in
// children under every start method.
#include "mp/after_fork.hpp"
#include "mp/finalize.hpp"
#include "mp/log.hpp"
#include "mp/mp.hpp"

#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_levels.hpp"
#include "support/start_methods.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace mp;
using test::log_one_of_each;
using test::stderr_of;

namespace {

void send_level(Connection connection) {
    connection.send(static_cast<int>(mp::get_logger().level()));
}

void use_finalizers(Connection connection) {
    // Never destroyed: what follows is for the exit, when younger statics are gone
    // already.
    static auto& out = *new Connection(connection);
    const auto note = [](const char* name) {
        return [name] {
            out.send(std::string(name));
        };
    };
    { const mp::Finalize a(note("a")); }
    mp::Finalize b(note("b"));
    b();
    b();
    static auto& at_exit = *new std::vector<mp::Finalize>;
    at_exit.emplace_back(note("c"));
    at_exit.emplace_back(note("d10"), 1);
    at_exit.emplace_back(note("d01"), 0);
    at_exit.emplace_back(note("d02"), 0);
    at_exit.emplace_back(note("d03"), 0);
    at_exit.emplace_back(note("e"), -10);
}

}  // namespace

TEST_CASE(
    "_TestLogging.test_enable_logging: the logger's level can be changed", "[log]"
) {
    CHECK(&get_logger() == &get_logger());
    CHECK(get_logger().name() == "mp");
    CHECK(get_logger().level() == spdlog::level::warn);
    const std::string text = stderr_of([] {
        log_to_stderr();
        log_one_of_each();
        get_logger().set_level(spdlog::level::debug);
        log_one_of_each();
        get_logger().set_level(spdlog::level::off);
        log_one_of_each();
    });
    CHECK(
        text == "[ERROR/MainProcess] an error\n"
                "[WARNING/MainProcess] a warning\n"
                "[ERROR/MainProcess] an error\n"
                "[WARNING/MainProcess] a warning\n"
                "[INFO/MainProcess] an info\n"
                "[DEBUG/MainProcess] a debug\n"
    );
}

TEST_CASE(
    "_TestLogging.test_filename: a sink of the program sees the calling file", "[log]"
) {
    CHECK(stderr_of([] {
              std::ostringstream text;
              auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
              sink->set_pattern("%s %v");
              get_logger().sinks().push_back(sink);
              get_logger().set_level(spdlog::level::info);
              detail::log_info("hello");
              if (text.str() == "test_util_rows.cpp hello\n") {
                  detail::log_error("as expected");
              }
          }) == "[ERROR/MainProcess] as expected\n");
}

TEST_CASE(
    "_TestLogging.test_level: a child logs at its parent's level", "[log][process]"
) {
    const mp::Context ctx = each_start_method();
    const auto before = mp::get_logger().level();
    for (const auto level : {spdlog::level::info, spdlog::level::err}) {
        mp::get_logger().set_level(level);
        auto [reader, writer] = mp::Pipe(mp::Duplex::no);
        auto process = ctx.Process(send_level, writer);
        process.start();
        CHECK(reader.recv<int>() == static_cast<int>(level));
        process.join();
    }
    mp::get_logger().set_level(before);
}

TEST_CASE(
    "_TestFinalize.test_finalize: a child runs its finalizers in order",
    "[finalize][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    auto process = ctx.Process(use_finalizers, writer);
    process.start();
    writer.close();
    std::vector<std::string> order;
    try {
        for (;;) {
            order.push_back(reader.recv<std::string>());
        }
    } catch (const mp::EOFError&) {
    }
    CHECK(order == std::vector<std::string>{"a", "b", "d10", "d03", "d02", "d01", "e"});
    process.join();
    CHECK(process.exitcode() == 0);
}

TEST_CASE(
    "_TestFinalize.test_thread_safety: running while others register and drop",
    "[finalize]"
) {
    std::atomic<bool> stop = false;
    std::atomic<int> made = 0;
    std::atomic<int> ran = 0;
    std::vector<std::thread> threads;
    for (unsigned seed = 0; seed < 3; ++seed) {
        threads.emplace_back([&, seed] {
            std::minstd_rand random(seed);
            std::vector<Finalize> some;
            while (!stop) {
                for (int i = 0; i < 10; ++i) {
                    some.emplace_back([&] { ++ran; }, static_cast<int>(random() % 50));
                    ++made;
                }
                some.clear();
            }
        });
    }
    threads.emplace_back([&] {
        while (!stop) {
            detail::run_finalizers(std::nullopt);
        }
    });
    int failed = 0;
    for (int i = 0; i < 50; ++i) {
        failed += test::run_in_fork([] {
            ::alarm(20);  // a deadlock ends the child
            detail::run_finalizers(std::nullopt);
            return 0;
        });
    }
    stop = true;
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(failed == 0);
    CHECK(ran == made);
}

TEST_CASE(
    "TestForkAwareThreadLock.test_lock: hooks do not multiply with the generations",
    "[after_fork]"
) {
    register_after_fork([] {});
    const std::size_t count = detail::after_fork_hook_count();
    const auto nest = [&](auto& self, int depth) -> int {
        detail::run_after_fork_hooks();
        if (detail::after_fork_hook_count() > count) {
            return 1;
        }
        return depth == 0 ? 0
                          : test::run_in_fork([&] { return self(self, depth - 1); });
    };
    CHECK(test::run_in_fork([&] { return nest(nest, 5); }) == 0);
}

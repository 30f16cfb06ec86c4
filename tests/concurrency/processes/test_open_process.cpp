// SPDX-License-Identifier: BSL-1.0
// open_process: programs that a task talks with.
#include "children.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/subprocess.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <signal.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

using concurrency::checkpoint;
using concurrency::open_process;
using concurrency::Process;
using concurrency::ProcessOptions;
using concurrency::Task;
using Words = std::vector<std::string>;

namespace {

/// "closed", "broken", "end", or "nothing".
template <class Awaitable>
Task<std::string> told_by(Awaitable awaitable) {
    std::string told = "nothing";
    try {
        co_await std::move(awaitable);
    } catch (const concurrency::ClosedResourceError&) {
        told = "closed";
    } catch (const concurrency::BrokenResourceError&) {
        told = "broken";
    } catch (const concurrency::EndOfStream&) {
        told = "end";
    }
    co_return told;
}

}  // namespace

TEST_CASE(
    "subprocesses::terminate: a handler of SIGTERM decides the exit code",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const char* const script =
            "trap 'exit 2' TERM; echo ready; while :; do read -r line; done";
        co_await open_process(script, [](Process& process) -> Task<> {
            CHECK_AWAITED(test::line_of(process.stdout()), == "ready");
            CHECK_FALSE(process.returncode().has_value());
            process.terminate();
            CHECK_AWAITED(process.wait(), == 2);
            CHECK(process.returncode() == 2);
            process.terminate();  // nothing
        });
    });
}

TEST_CASE("open_process: signals end it, and tell so", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const Words cat{"cat"};
        Process first = co_await open_process(cat);
        CHECK(first.pid() > 0);
        first.kill();
        CHECK_AWAITED(first.wait(), == -SIGKILL);
        Process second = co_await open_process(cat);
        second.send_signal(SIGINT);
        CHECK_AWAITED(second.wait(), == -SIGINT);
        CHECK_AWAITED(second.wait(), == -SIGINT);
        co_await second.aclose();
    });
}

TEST_CASE(
    "subprocesses::open_process_connect_to_file: its streams may be files",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const test::TextFile in("some text");
        const test::TextFile out;
        const test::TextFile err;
        ProcessOptions options;
        options.stdin(in.fd()).stdout(out.fd()).stderr(err.fd());
        Process process = co_await open_process("cat; echo error >&2", options);
        CHECK_AWAITED(process.wait(), == 0);
        CHECK(out.text() == "some text");
        CHECK(err.text() == "error\n");
        CHECK_THROWS_AS(process.stdin(), concurrency::RuntimeError);
        CHECK_THROWS_AS(process.stdout(), concurrency::RuntimeError);
        CHECK_THROWS_AS(process.stderr(), concurrency::RuntimeError);
    });
}

TEST_CASE(
    "subprocesses::exceptions_after_subprocess_closes_standard_streams: each stream "
    "has "
    "its own error",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        Process process = co_await open_process("exit 0");
        CHECK_AWAITED(process.wait(), == 0);
        CHECK_AWAITED(told_by(process.stdin().send("x")), == "broken");
        CHECK_AWAITED(told_by(process.stdin().send("x")), == "broken");
        CHECK_AWAITED(told_by(process.stdout().receive()), == "end");
        CHECK_AWAITED(told_by(process.stderr().receive()), == "end");
        co_await process.aclose();
        CHECK_AWAITED(told_by(process.stdin().send("x")), == "closed");
        CHECK_AWAITED(told_by(process.stdout().receive()), == "closed");
        CHECK_AWAITED(told_by(process.stderr().receive()), == "closed");
    });
}

TEST_CASE("subprocesses::close_early: it is closed while it writes", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        co_await open_process("head -c 25600 /dev/zero", [](Process&) -> Task<> {
            co_return;
        });
    });
}

TEST_CASE(
    "subprocesses::close_with_stdout_blocked_subprocess: nobody reads what it writes",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const Words words{"head", "-c", "1048576", "/dev/zero"};
        Process process = co_await open_process(words);
        CHECK_AWAITED(process.stdout().receive(1), .size() == 1);
        co_await process.aclose();
        CHECK(process.returncode().has_value());
    });
}

TEST_CASE(
    "subprocesses::wait_returns_on_process_exit_with_open_stdout: what it has started "
    "is not waited for",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        pid_t grandchild = 0;
        co_await open_process("sleep 10000 & echo $!", [&](Process& process) -> Task<> {
            const std::string line = co_await test::line_of(process.stdout());
            grandchild = std::stoi(line);
            CHECK_AWAITED(process.wait(), == 0);
            CHECK_FALSE(test::is_gone(grandchild));
        });
        ::kill(grandchild, SIGKILL);
        CHECK(test::is_gone_soon(grandchild));
    });
}

TEST_CASE("open_process: several tasks wait for its end", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const Words cat{"cat"};
        int ended = 0;
        co_await open_process(cat, [&](Process& process) -> Task<> {
            concurrency::CancelScope scope;
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                for (int i = 0; i < 3; ++i) {
                    group.start_soon([&]() -> Task<> {
                        CHECK_AWAITED(process.wait(), == 0);
                        ++ended;
                    });
                }
                group.start_soon([&]() -> Task<> {
                    co_await scope.run(process.wait());
                });
                co_await checkpoint();
                co_await checkpoint();
                scope.cancel();
                process.stdin().close();
            });
            CHECK(scope.cancelled_caught());
        });
        CHECK(ended == 3);
    });
}

TEST_CASE("open_process: the block's value comes out", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const Words words{"echo", "text"};
        const std::string text =
            co_await open_process(words, [](Process& process) -> Task<std::string> {
                co_return co_await test::rest_of(process.stdout());
            });
        CHECK(text == "text\n");
    });
}

TEST_CASE("open_process: a block that throws ends the child", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        pid_t pid = 0;
        auto block = [&](Process& process) -> Task<> {
            pid = process.pid();
            co_await checkpoint();
            throw std::runtime_error("bad");
        };
        auto body = [&]() -> Task<> {
            co_await open_process("exec sleep 10000", block);
        };
        CHECK_AWAITED(test::thrown_by(body), == "bad");
        CHECK(test::is_gone(pid));
    });
}

TEST_CASE("open_process: takes no input", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        auto body = []() -> Task<> {
            co_await open_process("cat", ProcessOptions().input("x"));
        };
        CHECK_AWAITED(
            test::thrown_by(body),
            == "open_process() takes no input: write it to stdin()"
        );
    });
}

TEST_CASE("open_process: a process may be moved", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const Words cat{"cat"};
        Process first = co_await open_process(cat);
        Process second = std::move(first);
        const pid_t replaced = second.pid();
        second = co_await open_process(cat);
        CHECK(second.pid() != replaced);
        co_await second.aclose();
        CHECK(second.returncode() == 0);
        CHECK(test::is_gone_soon(replaced));
        // The loop reaps it.
        while (::kill(replaced, 0) == 0) {
            co_await checkpoint();
        }
    });
}

// SPDX-License-Identifier: BSL-1.0
// How the end of a block, a scope or a loop ends the child in it.
#include "children.hpp"
#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/subprocess.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::open_process;
using concurrency::Process;
using concurrency::ProcessOptions;
using concurrency::run_process;
using concurrency::Task;
using Words = std::vector<std::string>;

namespace {

/// Neither running nor waiting to be reaped.
bool is_reaped(pid_t pid) {
    return ::kill(pid, 0) != 0;
}

}  // namespace

TEST_CASE(
    "subprocesses::process_aexit_cancellation_doesnt_orphan_process: a block that is "
    "cancelled ends its child",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        std::optional<Process> process = co_await open_process("exec sleep 10000");
        const bool completed = co_await scope.run([&]() -> Task<> {
            scope.cancel();
            co_await process->aclose();
        });
        CHECK_FALSE(completed);
        CHECK(process->returncode() == -SIGTERM);
        CHECK(is_reaped(process->pid()));
    });
}

TEST_CASE(
    "subprocesses::process_aexit_cancellation_closes_standard_streams: after a block "
    "that was cancelled the streams are closed",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        Process process = co_await open_process("exec sleep 10000");
        auto in = process.stdin();
        auto out = process.stdout();
        auto err = process.stderr();
        co_await scope.run([&]() -> Task<> {
            scope.cancel();
            co_await process.aclose();
        });
        int closed = 0;
        try {
            co_await in.send("x");
        } catch (const concurrency::ClosedResourceError&) {
            ++closed;
        }
        for (auto& stream : {out, err}) {
            auto copy = stream;
            try {
                co_await copy.receive();
            } catch (const concurrency::ClosedResourceError&) {
                ++closed;
            }
        }
        CHECK(closed == 3);
    });
}

TEST_CASE("process end: cancelling a block's body ends the child", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        pid_t pid = 0;
        const bool completed = co_await scope.run([&]() -> Task<> {
            co_await open_process("exec sleep 10000", [&](Process& process) -> Task<> {
                pid = process.pid();
                scope.cancel();
                co_await process.wait();
            });
        });
        CHECK_FALSE(completed);
        CHECK(is_reaped(pid));
    });
}

TEST_CASE(
    "process end: SIGTERM comes first, and the child may take its time", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const char* const script =
            "trap 'exit 7' TERM; echo ready; while :; do read -r line; done";
        CancelScope scope;
        std::optional<int> code;
        co_await scope.run([&]() -> Task<> {
            Process gentle =
                co_await open_process(script, ProcessOptions().grace(1000));
            co_await test::line_of(gentle.stdout());
            scope.cancel();
            try {
                co_await gentle.aclose();
            } catch (...) {
                code = gentle.returncode();
                throw;
            }
        });
        CHECK(code == 7);
    });
}

TEST_CASE(
    "process end: one that ignores SIGTERM is killed after the grace", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        for (const double grace : {0.0, 0.02}) {
            CancelScope scope;
            pid_t pid = 0;
            const bool completed = co_await scope.run([&]() -> Task<> {
                ProcessOptions options;
                options.grace(grace);
                co_await open_process(
                    test::stubborn,
                    options,
                    [&](Process& process) -> Task<> {
                        pid = process.pid();
                        co_await test::line_of(process.stdout());
                        scope.cancel();
                        co_await process.wait();
                    }
                );
            });
            CHECK_FALSE(completed);
            CHECK(is_reaped(pid));
        }
    });
}

TEST_CASE(
    "process end: a process that goes out of scope is ended by its loop", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        pid_t gentle = 0;
        pid_t stubborn = 0;
        {
            Process first = co_await open_process("exec sleep 10000");
            gentle = first.pid();
            ProcessOptions options;
            options.grace(0.02);
            Process second = co_await open_process(test::stubborn, options);
            co_await test::line_of(second.stdout());
            stubborn = second.pid();
        }
        while (!is_reaped(gentle) || !is_reaped(stubborn)) {
            co_await checkpoint();
        }
    });
}

TEST_CASE("process end: the end of the loop ends the child", "[subprocess]") {
    test::each_backend([](concurrency::Backend backend) {
        pid_t pid = 0;
        concurrency::run(
            [&]() -> Task<> {
                ProcessOptions options;
                options.grace(std::nullopt);
                Process process = co_await open_process(test::stubborn, options);
                co_await test::line_of(process.stdout());
                pid = process.pid();
            },
            backend
        );
        CHECK(is_reaped(pid));
    });
}

TEST_CASE(
    "process end: a task that is destroyed with its loop ends its child", "[subprocess]"
) {
    boost::asio::io_context context;
    pid_t pid = 0;
    auto main = [&]() -> Task<> {
        co_await open_process(test::stubborn, [&](Process& process) -> Task<> {
            pid = process.pid();
            co_await test::line_of(process.stdout());
            context.stop();
            co_await process.wait();
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), concurrency::RuntimeError);
    CHECK(is_reaped(pid));
    context.restart();
    context.run();
}

TEST_CASE("process end: a run that is cancelled ends its program", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const test::TextFile file;
        const char* const script = "echo $$; exec sleep 10000";
        ProcessOptions options;
        options.stdout(file.fd());
        CancelScope scope;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const bool completed = co_await scope.run([&]() -> Task<> {
                    co_await run_process(script, options);
                });
                CHECK_FALSE(completed);
            });
            while (file.text().find('\n') == std::string::npos) {
                co_await checkpoint();
            }
            scope.cancel();
        });
        CHECK(is_reaped(std::stoi(file.text())));
    });
}

TEST_CASE(
    "process end: a shield keeps the child from the scopes around", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        std::string text;
        co_await scope.run([&]() -> Task<> {
            scope.cancel();
            auto body = [&]() -> Task<> {
                const auto done = co_await run_process("echo text");
                text = done.stdout();
            };
            co_await concurrency::shield(body);
            co_await checkpoint();
        });
        CHECK(text == "text\n");
    });
}

TEST_CASE(
    "Process: the child of a fork ends no child of its parent", "[subprocess][no-tsan]"
) {
    int forked_status = -1;
    const auto parent = ::getpid();
    std::optional<int> code;
    for (const bool throws : {true, false}) {
        bool threw = false;
        code.reset();
        try {
            concurrency::run([&]() -> Task<> {
                Process process = co_await open_process("exec sleep 10000");
                const pid_t child = ::fork();
                if (child == 0 && throws) {
                    throw std::runtime_error("unwinds");
                }
                if (child == 0) {
                    co_await checkpoint();
                }
                ::waitpid(child, &forked_status, 0);
                process.send_signal(SIGUSR1);  // the first that it gets
                code = co_await process.wait();
            });
        } catch (const std::exception&) {
            threw = true;
        }
        if (::getpid() != parent) {
            ::_exit(threw ? 3 : 4);
        }
        CHECK_FALSE(threw);
        CHECK(WIFEXITED(forked_status));
        CHECK(WEXITSTATUS(forked_status) == 3);
        CHECK(code == -SIGUSR1);
    }
}

TEST_CASE("Process: one that is kept may go after its loop", "[subprocess]") {
    test::each_backend([](concurrency::Backend backend) {
        auto kept = concurrency::run(
            []() -> Task<std::unique_ptr<Process>> {
                Process process = co_await open_process("exec sleep 10000");
                co_return std::make_unique<Process>(std::move(process));
            },
            backend
        );
        CHECK(kept->returncode() == -SIGKILL);
        kept.reset();
    });
}

TEST_CASE(
    "Process: one that goes in a handler wakes who waits for it", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        auto process = std::make_shared<std::optional<Process>>(
            co_await open_process("exec sleep 10000")
        );
        boost::asio::post(concurrency::get_executor(), [process] { process->reset(); });
        Task<int> ended = (*process)->wait();
        CHECK_AWAITED(std::move(ended), == -SIGTERM);
    });
}

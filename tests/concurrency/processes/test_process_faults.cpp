// SPDX-License-Identifier: BSL-1.0
// Children that do what children should not, and shortages when they are started.
#include "children.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/subprocess.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/few_descriptors.hpp"
#include "support/proc.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::CompletedProcess;
using concurrency::open_process;
using concurrency::Process;
using concurrency::ProcessOptions;
using concurrency::run_process;
using concurrency::Task;
using Words = std::vector<std::string>;

TEST_CASE("process faults: a child floods its standard error", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        constexpr std::size_t size = std::size_t{64} << 20U;
        const CompletedProcess done = co_await run_process(
            "head -c " + std::to_string(size) + " /dev/zero >&2; echo done"
        );
        CHECK(done.stderr().size() == size);
        CHECK(done.stdout() == "done\n");
    });
}

TEST_CASE("process faults: a child is killed by another", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const Words cat{"cat"};
        co_await open_process(cat, [](Process& process) -> Task<> {
            ::kill(process.pid(), SIGKILL);
            CHECK_AWAITED(process.wait(), == -SIGKILL);
            CHECK_AWAITED(test::rest_of(process.stdout()), .empty());
        });
    });
}

TEST_CASE("process faults: a child is stopped", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        pid_t pid = 0;
        ProcessOptions options;
        options.grace(0.02);
        const bool completed = co_await scope.run([&]() -> Task<> {
            co_await open_process(
                "echo ready; kill -STOP $$",
                options,
                [&](Process& process) -> Task<> {
                    pid = process.pid();
                    co_await test::line_of(process.stdout());
                    test::ProcStat stat;
                    while (test::read_stat(pid, stat) && stat.state != 'T') {
                        co_await checkpoint();
                    }
                    CHECK_FALSE(process.returncode().has_value());
                    scope.cancel();
                    co_await process.wait();
                }
            );
        });
        CHECK_FALSE(completed);
        CHECK(::kill(pid, 0) != 0);
    });
}

TEST_CASE("process faults: a child is stopped, and goes on", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        co_await open_process("kill -STOP $$; exit 4", [](Process& process) -> Task<> {
            test::ProcStat stat;
            while (test::read_stat(process.pid(), stat) && stat.state != 'T') {
                co_await checkpoint();
            }
            process.send_signal(SIGCONT);
            CHECK_AWAITED(process.wait(), == 4);
        });
    });
}

TEST_CASE("process faults: a child closes its pipes and lives on", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const char* const script = "exec <&- >&- 2>&-; kill -STOP $$; exit 3";
        co_await open_process(script, [](Process& process) -> Task<> {
            CHECK_AWAITED(test::rest_of(process.stdout()), .empty());
            CHECK_AWAITED(test::rest_of(process.stderr()), .empty());
            CHECK_FALSE(process.returncode().has_value());
            bool broken = false;
            try {
                co_await process.stdin().send("x");
            } catch (const concurrency::BrokenResourceError&) {
                broken = true;
            }
            CHECK(broken);
            test::ProcStat stat;
            while (test::read_stat(process.pid(), stat) && stat.state != 'T') {
                co_await checkpoint();
            }
            process.send_signal(SIGCONT);
            CHECK_AWAITED(process.wait(), == 3);
        });
    });
}

TEST_CASE("process faults: a grandchild holds the pipes of a run", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const test::TextFile file;
        ProcessOptions options;
        options.stderr(file.fd());
        const char* const script = "sleep 10000 & echo $! >&2";
        const auto done =
            co_await concurrency::move_on_after(0.2, run_process(script, options));
        CHECK_FALSE(done.has_value());
        const pid_t grandchild = std::stoi(file.text());
        CHECK_FALSE(test::is_gone(grandchild));
        ::kill(grandchild, SIGKILL);
        CHECK(test::is_gone_soon(grandchild));
    });
}

TEST_CASE(
    "process faults: a grandchild that holds the pipes keeps nobody from leaving",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        // It writes nothing, reads nothing, and outlives the child.
        const char* const script = "sleep 10000 & echo $!";
        pid_t grandchild = 0;
        co_await open_process(script, [&](Process& process) -> Task<> {
            const std::string line = co_await test::line_of(process.stdout());
            grandchild = std::stoi(line);
            CHECK_AWAITED(process.wait(), == 0);
        });
        CHECK_FALSE(test::is_gone(grandchild));
        ::kill(grandchild, SIGKILL);
        CHECK(test::is_gone_soon(grandchild));
    });
}

TEST_CASE(
    "process faults: one that floods what nobody reads ends with its pipes",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const char* const script = "echo ready; exec head -c 64M /dev/zero >&2";
        Process process = co_await open_process(script);
        CHECK_AWAITED(test::line_of(process.stdout()), == "ready");
        co_await process.aclose();
        CHECK(process.returncode() == -SIGPIPE);
    });
}

TEST_CASE("process faults: SIGCHLD is ignored", "[subprocess]") {
    struct sigaction ignored {};
    struct sigaction before {};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &ignored, &before);
    test::over_backends([]() -> Task<> {
        // The kernel reaps it, and may not tell how it ended.
        Process process = co_await open_process("exit 3");
        const int code = co_await process.wait();
        CHECK((code == 3 || code == 255));
    });
    ::sigaction(SIGCHLD, &before, nullptr);
}

TEST_CASE(
    "process faults: descriptors are short at each step of a start", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const Words cat{"cat"};
        const int before = test::open_descriptors();
        int refused = 0;
        bool started = false;
        for (int room = 0; !started; ++room) {
            std::optional<test::FewDescriptors> limit(room);
            std::optional<Process> process;
            try {
                process = co_await open_process(cat);
                started = true;
            } catch (const std::system_error& error) {
                if (error.code() == std::errc::too_many_files_open) {
                    ++refused;
                }
            }
            limit.reset();
            if (process) {
                co_await process->aclose();
                CHECK(process->returncode() == 0);
            }
            process.reset();
            CHECK(test::open_descriptors() == before);
            CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
        }
        CHECK(refused >= 5);
    });
}

TEST_CASE("process faults: and of a run, with its input", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const Words cat{"cat"};
        const int before = test::open_descriptors();
        int refused = 0;
        std::string text;
        for (int room = 0; text.empty(); ++room) {
            {
                const test::FewDescriptors limit(room);
                try {
                    const auto done =
                        co_await run_process(cat, ProcessOptions().input("text"));
                    text = done.stdout();
                } catch (const std::system_error& error) {
                    if (error.code() == std::errc::too_many_files_open) {
                        ++refused;
                    }
                }
            }
            CHECK(test::open_descriptors() == before);
            CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
        }
        CHECK(text == "text");
        CHECK(refused >= 5);
    });
}

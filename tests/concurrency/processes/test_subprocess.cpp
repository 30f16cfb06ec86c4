// SPDX-License-Identifier: BSL-1.0
// run_process: programs that are run to their end.
#include "children.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/subprocess.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <system_error>
#include <vector>

using concurrency::CalledProcessError;
using concurrency::CompletedProcess;
using concurrency::DEVNULL;
using concurrency::PIPE;
using concurrency::ProcessOptions;
using concurrency::run_process;
using concurrency::STDOUT;
using concurrency::Task;
using Words = std::vector<std::string>;

namespace {

std::optional<std::error_code> start_error;

Task<> run_what_cannot_start(std::string program, ProcessOptions options = {}) {
    start_error.reset();
    const Words command{program};
    try {
        co_await run_process(command, options);
    } catch (const std::system_error& error) {
        start_error = error.code();
    }
}

}  // namespace

TEST_CASE(
    "subprocesses::run_process: a shell line and a list of words", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const ProcessOptions options = ProcessOptions().input("abc");
        const Words words{"tr", "abc", "cba"};
        const CompletedProcess listed = co_await run_process(words, options);
        CHECK(listed.returncode() == 0);
        CHECK(listed.stdout() == "cba");
        CHECK(listed.args() == words);
        const CompletedProcess line = co_await run_process("tr abc cba", options);
        CHECK(line.returncode() == 0);
        CHECK(line.stdout() == "cba");
        CHECK(line.args() == Words{"/bin/sh", "-c", "tr abc cba"});
    });
}

TEST_CASE(
    "subprocesses::run_process_checked: the error has the code and what was written",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        std::optional<CalledProcessError> error;
        try {
            co_await run_process(
                "echo stdout-text; echo stderr-text >&2; exit 1",
                ProcessOptions().check(true)
            );
        } catch (const CalledProcessError& e) {
            error = e;
        }
        REQUIRE(error);
        CHECK(error->returncode() == 1);
        CHECK(error->stdout() == "stdout-text\n");
        CHECK(error->stderr() == "stderr-text\n");
        CHECK(error->cmd().front() == "/bin/sh");
        CHECK(std::string(error->what()).find("the exit code 1") != std::string::npos);
    });
}

TEST_CASE("subprocess: unchecked, a code is only told", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const ProcessOptions unchecked = ProcessOptions().check(false);
        const CompletedProcess failed = co_await run_process("exit 3", unchecked);
        CHECK(failed.returncode() == 3);
        CHECK_THROWS_AS(failed.check_returncode(), CalledProcessError);
        const CompletedProcess killed = co_await run_process("kill -9 $$", unchecked);
        CHECK(killed.returncode() == -9);
        CHECK_THROWS_WITH(
            killed.check_returncode(),
            "the command '/bin/sh -c kill -9 $$' was ended by signal 9"
        );
        const CompletedProcess fine = co_await run_process("true", unchecked);
        CHECK_NOTHROW(fine.check_returncode());
    });
}

TEST_CASE(
    "subprocesses::run_process_connect_to_file: its streams may be files",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const test::TextFile in("some text");
        const test::TextFile out;
        const test::TextFile err;
        const CompletedProcess done = co_await run_process(
            "cat; echo error >&2",
            ProcessOptions().stdin(in.fd()).stdout(out.fd()).stderr(err.fd())
        );
        CHECK(out.text() == "some text");
        CHECK(err.text() == "error\n");
        CHECK(done.stdout().empty());
        CHECK(done.stderr().empty());
    });
}

TEST_CASE(
    "subprocesses::stdin_input_both_passed: input and stdin exclude each other",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        auto both = []() -> Task<> {
            co_await run_process("cat", ProcessOptions().input("x").stdin(DEVNULL));
        };
        CHECK_AWAITED(
            test::thrown_by(both), == "run_process() takes either input or stdin"
        );
        auto pipe = []() -> Task<> {
            co_await run_process("cat", ProcessOptions().stdin(PIPE));
        };
        CHECK_AWAITED(
            test::thrown_by(pipe),
            == "run_process() has nobody who writes to a pipe: give it input"
        );
    });
}

TEST_CASE(
    "subprocesses::run_process_inherit_stdout: it may write where this process does",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const test::TextFile out;
        const test::TextFile err;
        const int own_out = ::fcntl(1, F_DUPFD_CLOEXEC, 3);
        const int own_err = ::fcntl(2, F_DUPFD_CLOEXEC, 3);
        ::dup2(out.fd(), 1);
        ::dup2(err.fd(), 2);
        const ProcessOptions options =
            ProcessOptions().stdout(std::nullopt).stderr(std::nullopt);
        const CompletedProcess done =
            co_await run_process("echo stdout-text; echo stderr-text >&2", options);
        ::dup2(own_out, 1);
        ::dup2(own_err, 2);
        ::close(own_out);
        ::close(own_err);
        CHECK(out.text() == "stdout-text\n");
        CHECK(err.text() == "stderr-text\n");
        CHECK(done.stdout().empty());
    });
}

TEST_CASE("subprocess: standard error may go where the output goes", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const CompletedProcess both =
            co_await run_process("echo a; echo b >&2", ProcessOptions().stderr(STDOUT));
        CHECK(both.stdout() == "a\nb\n");
        CHECK(both.stderr().empty());
        const CompletedProcess none = co_await run_process(
            "echo a; echo b >&2", ProcessOptions().stdout(DEVNULL).stderr(STDOUT)
        );
        CHECK(none.stdout().empty());
        // Our own two streams, the other way round.
        const CompletedProcess swapped =
            co_await run_process("echo a >&2", ProcessOptions().stdout(2).stderr(PIPE));
        CHECK(swapped.stderr() == "a\n");
    });
}

TEST_CASE("subprocess: a program that does not want its input", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const std::string much(1 << 20, 'x');
        const CompletedProcess done =
            co_await run_process("exec <&-; echo no", ProcessOptions().input(much));
        CHECK(done.stdout() == "no\n");
    });
}

TEST_CASE("subprocess: input and output at once", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const std::string much(1 << 20, 'x');
        const Words cat{"cat"};
        const CompletedProcess done =
            co_await run_process(cat, ProcessOptions().input(much));
        CHECK(done.stdout() == much);
    });
}

// ThreadSanitizer makes vfork a fork: the child cannot say why it failed.
TEST_CASE("subprocess: what cannot be started is an error", "[subprocess][no-tsan]") {
    test::over_backends([]() -> Task<> {
        co_await run_what_cannot_start("no-such-program-anywhere");
        CHECK(start_error == std::errc::no_such_file_or_directory);
        co_await run_what_cannot_start("/etc/passwd");
        CHECK(start_error == std::errc::permission_denied);
        co_await run_what_cannot_start("");
        CHECK(start_error == std::errc::no_such_file_or_directory);
        co_await run_what_cannot_start("true", ProcessOptions().cwd("/no-such-folder"));
        CHECK(start_error == std::errc::no_such_file_or_directory);
    });
}

TEST_CASE("subprocess: many programs at once", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        int sum = 0;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            for (int i = 1; i <= 20; ++i) {
                group.start_soon([&sum, i]() -> Task<> {
                    const std::string line = "echo " + std::to_string(i);
                    const CompletedProcess done = co_await run_process(line);
                    sum += std::stoi(done.stdout());
                });
            }
            co_await concurrency::checkpoint();
        });
        CHECK(sum == 210);
    });
}

TEST_CASE("subprocess: a program needs a loop", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        concurrency::CancelScope scope;
        scope.cancel();
        bool started = false;
        const bool completed = co_await scope.run([&]() -> Task<> {
            co_await run_process("true");
            started = true;
        });
        CHECK_FALSE(completed);
        CHECK_FALSE(started);
    });
    CHECK_THROWS_AS(concurrency::Command(Words{}), concurrency::ValueError);
}

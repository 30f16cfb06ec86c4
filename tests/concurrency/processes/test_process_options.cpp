// SPDX-License-Identifier: BSL-1.0
// Command, Stdio and ProcessOptions: what a program finds when it starts.
#include "children.hpp"
#include "concurrency/process_options.hpp"
#include "concurrency/subprocess.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

using concurrency::CompletedProcess;
using concurrency::ProcessOptions;
using concurrency::run_process;
using concurrency::STDOUT;
using concurrency::Task;
using Variables = std::map<std::string, std::string>;

TEST_CASE("subprocesses::process_cwd: it starts in the given folder", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const CompletedProcess done =
            co_await run_process("pwd -P", ProcessOptions().cwd("/"));
        CHECK(done.stdout() == "/\n");
    });
}

TEST_CASE("subprocesses::process_env: it gets the given environment", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        Variables variables{{"foo", "bar"}};
        const CompletedProcess done =
            co_await run_process("echo $foo $HOME", ProcessOptions().env(variables));
        CHECK(done.stdout() == "bar\n");
        variables = {{"PATH", "/nowhere::/bin:/usr/bin"}, {"x", "1=2"}};
        const std::vector<std::string> words{"env"};
        const CompletedProcess all =
            co_await run_process(words, ProcessOptions().env(variables));
        CHECK(all.stdout().find("x=1=2\n") != std::string::npos);
    });
}

TEST_CASE(
    "subprocesses::process_new_session_sid: it gets a session of its own when told so",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool is_new : {false, true}) {
            // Field 6 of stat.
            const CompletedProcess done = co_await run_process(
                "read -r a b c d e f rest </proc/self/stat; echo $f",
                ProcessOptions().start_new_session(is_new)
            );
            CHECK((std::stoi(done.stdout()) == ::getsid(0)) == !is_new);
        }
    });
}

TEST_CASE(
    "subprocesses::user_group_arguments: user, group and mask are the child's",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        ProcessOptions options;
        options.user(::geteuid()).group(::getegid()).umask(0123);
        if (::geteuid() == 0) {
            options.extra_groups({5, 6});
        }
        const CompletedProcess done =
            co_await run_process("id -u; id -g; umask; id -G", options);
        const std::string begin = std::to_string(::geteuid()) + "\n" +
                                  std::to_string(::getegid()) + "\n0123\n";
        CHECK(done.stdout().substr(0, begin.size()) == begin);
        if (::geteuid() == 0) {
            CHECK(done.stdout().substr(begin.size()) == "0 5 6\n");
        }
    });
}

TEST_CASE("process options: only listed descriptors are inherited", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const int listed = ::fcntl(0, F_DUPFD_CLOEXEC, 30);
        const int other = ::fcntl(0, F_DUPFD, 60);
        ProcessOptions options;
        options.pass_fds({listed});
        const std::string fds = "cd /proc/self/fd; test -e " + std::to_string(listed) +
                                " && echo yes; test -e " + std::to_string(other) +
                                " || echo no";
        const CompletedProcess done = co_await run_process(fds, options);
        CHECK(done.stdout() == "yes\nno\n");
        ::close(listed);
        ::close(other);
    });
}

TEST_CASE("process options: what makes no sense is refused", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        std::vector<ProcessOptions> wrong;
        wrong.push_back(ProcessOptions().stdin(STDOUT));
        wrong.push_back(ProcessOptions().stdout(STDOUT));
        wrong.push_back(ProcessOptions().stderr(-1));
        wrong.push_back(ProcessOptions().cwd(std::string("a\0b", 3)));
        const Variables no_name{{"", "x"}};
        const Variables two_names{{"a=b", "x"}};
        wrong.push_back(ProcessOptions().env(no_name));
        wrong.push_back(ProcessOptions().env(two_names));
        for (const ProcessOptions& options : wrong) {
            bool refused = false;
            try {
                co_await run_process("true", options);
            } catch (const concurrency::ValueError&) {
                refused = true;
            }
            CHECK(refused);
        }
    });
    CHECK_THROWS_AS(
        concurrency::Command(std::vector<std::string>{}), concurrency::ValueError
    );
}

TEST_CASE("process options: a command may be written in several ways", "[subprocess]") {
    using concurrency::Command;
    using Words = std::vector<std::string>;
    CHECK(Command("a b").arguments() == Words{"/bin/sh", "-c", "a b"});
    CHECK(Command({"a", "b"}).arguments() == Words{"a", "b"});
    CHECK(Command(Words{"a"}).arguments() == Words{"a"});
}

// SPDX-License-Identifier: BSL-1.0
// start_program: descriptors, signals and errors of another program.
#include "os/exec.hpp"
#include "support/catch.hpp"
#include "support/deny_call.hpp"
#include "support/fork_child.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

int status_of(pid_t pid) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Exit status of a shell that tests something of itself.
int shell(const std::string& script, std::span<const int> keep) {
    return status_of(mp::os::start_program("/bin/sh", {"-c", script}, keep));
}

}  // namespace

// Such a handler may wait there for a lock that another thread held.
TEST_CASE("start_program: no fork handler runs in the child", "[exec]") {
    static std::array<int, 2> pipe{-1, -1};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    REQUIRE(::pthread_atfork(nullptr, nullptr, [] {
                static_cast<void>(!::write(pipe[1], "x", 1));
            }) == 0);
    CHECK(shell("exit 3", {}) == 3);
    char written = 0;
    CHECK(::read(pipe[0], &written, 1) == -1);
    CHECK(test::run_in_fork([] { return 0; }) == 0);
    CHECK(::read(pipe[0], &written, 1) == 1);  // it does run in a fork
    for (int& end : pipe) {
        ::close(std::exchange(end, -1));
    }
}

// ThreadSanitizer makes vfork a fork: the child cannot say why it failed.
TEST_CASE("start_program: what cannot be executed is an error", "[exec][no-tsan]") {
    CHECK_THROWS_AS(mp::os::start_program("/nonexistent", {}, {}), std::system_error);
    CHECK_THROWS_AS(mp::os::start_program("/etc/passwd", {}, {}), std::system_error);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("start_program: only listed descriptors are inherited", "[exec]") {
    const int listed = ::fcntl(0, F_DUPFD_CLOEXEC, 30);
    const int inheritable = ::fcntl(0, F_DUPFD, 60);
    const std::array keep{listed};
    const std::string fds = "/proc/self/fd/";
    CHECK(shell("test -e " + fds + std::to_string(listed), keep) == 0);
    CHECK(shell("test -e " + fds + std::to_string(inheritable), keep) == 1);
    CHECK(shell("test -e " + fds + "1", keep) == 0);
    ::close(listed);
    ::close(inheritable);
}

TEST_CASE("start_program: a standard stream that would be closed is there", "[exec]") {
    const int status = test::run_in_fork([] {
        for (int stream = 0; stream <= 2; ++stream) {
            ::fcntl(stream, F_SETFD, FD_CLOEXEC);
        }
        const std::string fds = "/proc/self/fd/";
        const pid_t child = mp::os::start_program(
            "/bin/sh",
            {"-c",
             "test -e " + fds + "0 && test -e " + fds + "1 && test -e " + fds + "2"},
            {}
        );
        int ended = 0;
        ::waitpid(child, &ended, 0);
        return WEXITSTATUS(ended);
    });
    CHECK(status == 0);
}

TEST_CASE(
    "start_program: without close_range only listed descriptors are, too", "[exec]"
) {
    const int status = test::run_in_fork_for(20s, [] {
        test::deny_call(SYS_close_range, ENOSYS);
        // As high as the system lets it be: nothing may count up to it.
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        const int listed = ::fcntl(0, F_DUPFD_CLOEXEC, 30);
        const int inheritable = ::fcntl(0, F_DUPFD, 200);
        std::vector<int> many;  // more than one portion of /proc
        for (int i = 0; i < 300; ++i) {
            many.push_back(::fcntl(0, F_DUPFD, 300));
        }
        const std::array keep{listed};
        const std::string fds = "/proc/self/fd/";
        const auto there = [&](int fd) {
            const pid_t shell = mp::os::start_program(
                "/bin/sh", {"-c", "test -e " + fds + std::to_string(fd)}, keep
            );
            int ended = 0;
            ::waitpid(shell, &ended, 0);
            return WEXITSTATUS(ended) == 0;
        };
        return there(listed) && there(1) && !there(inheritable) && !there(many.back())
                   ? 0
                   : 1;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "start_program: the mask and dispositions of the load are restored", "[exec]"
) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    ::signal(SIGUSR1, SIG_IGN);
    const int code = shell("kill -USR1 $$; exit 0", {});
    ::signal(SIGUSR1, SIG_DFL);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    CHECK(code == -SIGUSR1);
}

TEST_CASE("own_program: is this very file", "[exec]") {
    CHECK(::access(mp::os::own_program().c_str(), X_OK) == 0);
    CHECK(std::string(mp::os::program_short_name()).size() > 0);
}

TEST_CASE("start_program: the first path that can be executed is it", "[exec]") {
    mp::os::ProgramStart start;
    start.paths = {"/nonexistent/sh", "/etc/passwd", "/bin/sh", "/bin/false"};
    start.arguments = {"my-name", "-c", "test \"$0\" = my-name && exit 5"};
    CHECK(status_of(mp::os::start_program(start)) == 5);
}

// ThreadSanitizer makes vfork a fork: the child cannot say why it failed.
TEST_CASE("start_program: why none of the paths is it", "[exec][no-tsan]") {
    mp::os::ProgramStart start;
    start.paths = {"/nonexistent/sh", "/etc/passwd", "/bin/sh/none"};
    start.arguments = {"sh"};
    std::error_code error;
    try {
        mp::os::start_program(start);
    } catch (const std::system_error& e) {
        error = e.code();
    }
    CHECK(error == std::errc::permission_denied);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("start_program: streams may change their places", "[exec]") {
    std::array<int, 2> pipe{-1, -1};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
    const int status = test::run_in_fork([&] {
        ::dup2(pipe[1], 1);
        ::fcntl(2, F_SETFD, FD_CLOEXEC);
        mp::os::ProgramStart start;
        start.paths = {"/bin/sh"};
        start.arguments = {"sh", "-c", "echo to-error >&2; test -e /dev/fd/1"};
        start.streams = {-1, 2, 1};  // its error is our output
        return status_of(mp::os::start_program(start));
    });
    ::close(pipe[1]);
    CHECK(status == 0);
    // As much as it wrote: what stood in this process's own buffer may follow, when the
    // child of the fork ends.
    const std::string written = "to-error\n";
    std::string text(written.size(), ' ');
    CHECK(::read(pipe[0], text.data(), text.size()) == 9);
    ::close(pipe[0]);
    CHECK(text == written);
}

TEST_CASE("start_program: an environment, a folder, a mask and a session", "[exec]") {
    mp::os::ProgramStart start;
    start.paths = {"/bin/sh"};
    start.arguments = {
        "sh",
        "-c",
        "read -r a b c d e f rest </proc/self/stat; test $f = $$ && test $(umask) = "
        "0027 "
        "&& test \"$(pwd -P)\" = / && test \"$A\" = 1 && test -z \"$HOME\""};
    start.environment = {"A=1", "PATH=/bin:/usr/bin"};
    start.directory = "/";
    start.umask = 027;
    start.new_session = true;
    CHECK(status_of(mp::os::start_program(start)) == 0);
}

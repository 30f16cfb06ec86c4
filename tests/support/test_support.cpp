// SPDX-License-Identifier: BSL-1.0
// The test support must be able to fail. Each hidden case here does one thing wrong;
// the ctest entries beside it expect a failure that says so.
#include "support/catch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

namespace {

[[noreturn]] void block_for_ever() {
    for (;;) {
        ::pause();
    }
}

// Forks a child that blocks, or ends at once; gives its pid.
pid_t fork_child(bool ends) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (ends) {
            ::_exit(0);
        }
        block_for_ever();
    }
    return pid;
}

}  // namespace

TEST_CASE("leak: a child", "[.leak-selftest]") {
    CHECK(fork_child(false) > 0);
}

TEST_CASE("leak: a zombie", "[.leak-selftest]") {
    const pid_t pid = fork_child(true);
    siginfo_t info{};
    CHECK(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
}

TEST_CASE("leak: an orphan", "[.leak-selftest]") {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(fork_child(false) > 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
}

TEST_CASE("leak: a descriptor", "[.leak-selftest]") {
    CHECK(::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

TEST_CASE("leak: a name in shared memory", "[.leak-selftest]") {
    static std::string name;  // for the handler below, which runs after the listener
    name = "/mp-leak-selftest-" + std::to_string(::getpid());
    const int fd = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    ::close(fd);
    std::atexit([] { ::shm_unlink(name.c_str()); });
}

TEST_CASE("leak: a thread", "[.leak-selftest]") {
    std::thread([] { block_for_ever(); }).detach();
    SUCCEED();
}

TEST_CASE("leak: a blocked signal", "[.leak-selftest]") {
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, SIGUSR1);
    CHECK(::pthread_sigmask(SIG_BLOCK, &one, nullptr) == 0);
}

TEST_CASE("watchdog: a case that hangs", "[.watchdog-selftest]") {
    fork_child(false);
    std::thread([] { block_for_ever(); }).detach();
    block_for_ever();
}

TEST_CASE("watchdog: a case that crashes", "[.watchdog-selftest]") {
    fork_child(false);
    ::raise(SIGSEGV);
}

TEST_CASE("Test support: a case that leaves nothing behind passes", "[support]") {
    const pid_t pid = fork_child(true);
    CHECK(::waitpid(pid, nullptr, 0) == pid);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    ::close(ends[0]);
    ::close(ends[1]);
    std::thread([] {}).join();
}

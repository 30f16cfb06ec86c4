// SPDX-License-Identifier: BSL-1.0
// pidfd: how a process ended.
#include "os/pidfd.hpp"
#include "support/catch.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

template <class Body>
pid_t forked(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        body();
        ::_exit(0);
    }
    return pid;
}

std::optional<mp::os::ExitStatus> reap(pid_t pid) {
    const mp::UniqueFd fd = mp::os::pidfd_of_new_child(pid);
    pollfd entry{.fd = fd.get(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&entry, 1, 20'000) == 1);
    CHECK(mp::os::pidfd_ended(fd.get()));
    return mp::os::pidfd_reap(fd.get());
}

}  // namespace

TEST_CASE("pidfd: tells how a child ended", "[pidfd]") {
    CHECK(reap(forked([] { ::_exit(3); }))->code == 3);
    CHECK(reap(forked([] { ::raise(SIGKILL); }))->code == -SIGKILL);
}

TEST_CASE("pidfd: a running child is neither over nor reaped", "[pidfd]") {
    const pid_t pid = forked([] { ::pause(); });
    const mp::UniqueFd fd = mp::os::pidfd_of_new_child(pid);
    CHECK_FALSE(mp::os::pidfd_ended(fd.get()));
    CHECK_FALSE(mp::os::pidfd_reap(fd.get()));
    CHECK(mp::os::pidfd_send_signal(fd.get(), SIGTERM));
    CHECK(reap(pid)->code == -SIGTERM);
    CHECK_FALSE(mp::os::pidfd_send_signal(fd.get(), SIGTERM));
    CHECK_THROWS_AS(mp::os::pidfd_reap(fd.get()), std::system_error);
}

TEST_CASE("pidfd: what somebody else reaped is remembered, or unknown", "[pidfd]") {
    const pid_t pid = forked([] { ::_exit(5); });
    const mp::UniqueFd fd = mp::os::pidfd_of_new_child(pid);
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
    const auto status = mp::os::pidfd_remembered_status(fd.get());
    CHECK((!status || status->code == 5));
}

TEST_CASE("pidfd: collected once, whoever reaped the child", "[pidfd]") {
    const pid_t running = forked([] { ::pause(); });
    const mp::UniqueFd first = mp::os::pidfd_of_new_child(running);
    CHECK_FALSE(mp::os::pidfd_collect(first.get()));
    CHECK(mp::os::pidfd_send_signal(first.get(), SIGTERM));
    REQUIRE(
        ::waitid(P_PID, static_cast<id_t>(running), nullptr, WEXITED | WNOWAIT) == 0
    );
    CHECK(mp::os::pidfd_collect(first.get()) == -SIGTERM);

    const pid_t reaped = forked([] { ::_exit(5); });
    const mp::UniqueFd second = mp::os::pidfd_of_new_child(reaped);
    REQUIRE(::waitpid(reaped, nullptr, 0) == reaped);
    const auto code = mp::os::pidfd_collect(second.get());
    CHECK((code == 5 || code == mp::os::unknown_code));
}

TEST_CASE("pidfd: a child reaped before anybody looked has ended", "[pidfd]") {
    const pid_t pid = forked([] { ::_exit(5); });
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
    const mp::UniqueFd fd = mp::os::pidfd_of_new_child(pid);
    CHECK(mp::os::pidfd_ended(fd.get()));
    CHECK(mp::os::pidfd_collect(fd.get()) == mp::os::unknown_code);
}

TEST_CASE("pidfd: the pid of a reaped child may be another's by now", "[pidfd]") {
    // As if this process had had a child of its parent's pid.
    const mp::UniqueFd fd = mp::os::pidfd_of_new_child(::getppid());
    CHECK(mp::os::pidfd_ended(fd.get()));
    CHECK(mp::os::pidfd_collect(fd.get()) == mp::os::unknown_code);
}

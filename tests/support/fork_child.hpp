// SPDX-License-Identifier: BSL-1.0
// run_in_fork(body): forks, runs `body` in the child and returns the status it exits
// with. The body's result, or 99 when it throws, is the exit status; assertions belong
// in the parent.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>

namespace test {

/// The pid; wait for it with `exit_status`.
template <class Body>
pid_t fork_child(Body body) {
    const pid_t pid = ::fork();
    if (pid < 0) {
        throw std::runtime_error("fork");
    }
    if (pid == 0) {
        int status = 99;
        try {
            status = body();
        } catch (...) {
        }
        ::_exit(status);
    }
    return pid;
}

/// The exit code, or minus the signal.
inline int exit_status(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

template <class Body>
int run_in_fork(Body body) {
    return exit_status(fork_child(body));
}

/// As run_in_fork(), for a body that might hang: after so much time the child is
/// killed, and the status is -SIGKILL.
template <class Body>
int run_in_fork_for(std::chrono::milliseconds at_most, Body body) {
    const pid_t child = fork_child(body);
    pollfd entry{
        .fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0)),
        .events = POLLIN,
        .revents = 0};
    int ready = 0;
    do {
        ready = ::poll(&entry, 1, static_cast<int>(at_most.count()));
    } while (ready < 0 && errno == EINTR);
    ::close(entry.fd);
    if (ready == 0) {
        ::kill(child, SIGKILL);
    }
    return exit_status(child);
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// SignalWatch: a thread in poll() on a signalfd.
#include "signals.hpp"

#include "os/check.hpp"
#include "util/library_thread.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <utility>

namespace mpsum {

namespace {

bool is_ignored(int signal) {
    struct sigaction current {};
    return ::sigaction(signal, nullptr, &current) == 0 &&
           current.sa_handler == SIG_IGN;  // NOLINT: a macro with a cast
}

/// SIGINT even where a shell script's `&` made us ignore it: it is sent on
/// purpose. The others stay ignored where they are (nohup).
sigset_t ending_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    for (const int signal : {SIGTERM, SIGHUP}) {
        if (!is_ignored(signal)) {
            ::sigaddset(&set, signal);
        }
    }
    return set;
}

volatile std::sig_atomic_t status_at_alarm = 1;

extern "C" void leave_at_alarm(int) {
    ::_exit(status_at_alarm);
}

}  // namespace

void exit_within_a_second(int status) noexcept {
    status_at_alarm = status;
    ::signal(SIGALRM, leave_at_alarm);
    ::alarm(1);
}

void block_ending_signals() {
    ::signal(SIGPIPE, SIG_IGN);
    const sigset_t set = ending_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

SignalWatch::SignalWatch(std::function<void(int)> on_signal) {
    const sigset_t set = ending_signals();
    signals_.reset(
        mp::os::check(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")
    );
    stop_.reset(mp::os::check(::eventfd(0, EFD_CLOEXEC), "eventfd"));
    // The thread holds no lock while it waits: no reason to warn when workers are
    // forked beside it. Counted before it is there, so that no fork takes it for a
    // foreign one.
    thread_ = std::thread([this,
                           call = std::move(on_signal),
                           counted = mp::detail::LibraryThread()] { watch(call); });
}

SignalWatch::~SignalWatch() {
    const std::uint64_t one = 1;
    mp::os::restarting([&] { return ::write(stop_.get(), &one, sizeof one); });
    thread_.join();
}

void SignalWatch::watch(const std::function<void(int)>& on_signal) {
    for (;;) {
        std::array<pollfd, 2> fds{
            {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
        mp::os::restarting([&] { return ::poll(fds.data(), fds.size(), -1); });
        signalfd_siginfo info{};
        if (mp::os::restarting([&] {
                return ::read(signals_.get(), &info, sizeof info);
            }) == static_cast<ssize_t>(sizeof info)) {
            on_signal(static_cast<int>(info.ssi_signo));
        }
        if (fds[1].revents != 0) {
            return;
        }
    }
}

}  // namespace mpsum

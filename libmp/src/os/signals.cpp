// SPDX-License-Identifier: BSL-1.0
#include "os/signals.hpp"

#include <pthread.h>

#include <array>

namespace mp::os {
namespace {

constexpr int signal_count = 65;

sigset_t mask_at_load;
std::array<struct sigaction, signal_count> actions_at_load;

// Runs while the program is loaded, before any other thread can exist.
[[gnu::constructor(101)]] void remember_signals() {
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_at_load);
    for (int signal = 1; signal < signal_count; ++signal) {
        ::sigaction(
            signal, nullptr, &actions_at_load[static_cast<std::size_t>(signal)]
        );
    }
}

void set_disposition(int signal, void (*handler)(int)) noexcept {
    struct sigaction action {};
    action.sa_handler = handler;
    ::sigaction(signal, &action, nullptr);
}

}  // namespace

void restore_signals() noexcept {
    for (int signal = 1; signal < signal_count; ++signal) {
        const auto& before = actions_at_load[static_cast<std::size_t>(signal)];
        struct sigaction now {};
        if (::sigaction(signal, nullptr, &now) == 0 &&
            now.sa_handler != before.sa_handler) {
            ::sigaction(signal, &before, nullptr);
        }
    }
    ::pthread_sigmask(SIG_SETMASK, &mask_at_load, nullptr);
}

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): pthread_sigmask fills it
SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool children_are_reaped_at_once() noexcept {
    struct sigaction action {};
    ::sigaction(SIGCHLD, nullptr, &action);
    return action.sa_handler != SIG_DFL || (action.sa_flags & SA_NOCLDWAIT) != 0;
}

void ignore_signal(int signal) noexcept {
    set_disposition(signal, SIG_IGN);
}

void default_signal(int signal) noexcept {
    set_disposition(signal, SIG_DFL);
}

}  // namespace mp::os

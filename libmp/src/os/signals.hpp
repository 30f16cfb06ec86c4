// SPDX-License-Identifier: BSL-1.0
// signals: what a child must find as the program found it.
//
// A child inherits the signal mask of the thread that starts it, and a fork child also
// its dispositions. A helper thread that blocks everything would hand that on for ever.
#pragma once

#include <signal.h>

namespace mp::os {

/// In a new child, before user code: the mask and the dispositions that the main thread
/// had when the library was loaded. Async-signal-safe, also in a child of vfork.
void restore_signals() noexcept;

/// Blocks every signal for this thread while it lives.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept;
    ~SignalsBlocked();
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_;
};

/// May children be reaped without this thread: by the kernel (SIGCHLD ignored, or
/// SA_NOCLDWAIT) or by a handler of the program?
bool children_are_reaped_at_once() noexcept;

void ignore_signal(int signal) noexcept;
void default_signal(int signal) noexcept;

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
// stopped_process: a process that stands still while somebody looks at what it does.
#pragma once

#include <sys/types.h>

namespace futures::detail {

/// SIGSTOP. False when it may not be: the process or this one has become another user.
/// Throws std::system_error for other errors.
bool stop_process(int pidfd);

/// Until all its threads stand still or it is gone: what it starts afterwards is
/// nothing, and its children can be listed. A thread that is told to stop does so when
/// it leaves its system call, and a fork() is completed before. That takes microseconds
/// as a rule, and longer where processors or memory are short: two seconds are waited
/// for it. A process of which some thread only sleeps in its system call, and none
/// runs, for 200 ms is left like that: nothing interrupts it there, as in vfork() or on
/// a disk that does not answer.
void wait_until_stopped(pid_t pid, int pidfd);

/// SIGCONT.
void resume_process(int pidfd) noexcept;

/// While it lives, a process stands still, if it may be stopped; then it goes on,
/// however the scope is left. One that was killed meanwhile ends all the same.
class StoppedProcess {
public:
    /// Throws as stop_process(), and then it does not stand still.
    StoppedProcess(pid_t pid, int pidfd);
    ~StoppedProcess();
    StoppedProcess(const StoppedProcess&) = delete;
    StoppedProcess& operator=(const StoppedProcess&) = delete;

    bool is_stopped() const noexcept { return is_stopped_; }

private:
    explicit StoppedProcess(int pidfd);

    const int pidfd_;
    const bool is_stopped_;
};

}  // namespace futures::detail

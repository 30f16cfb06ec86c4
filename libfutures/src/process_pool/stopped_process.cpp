// SPDX-License-Identifier: BSL-1.0
#include "process_pool/stopped_process.hpp"

#include "mp/timeout.hpp"

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process_pool/process_look.hpp"

#include <signal.h>

#include <chrono>
#include <exception>
#include <string_view>
#include <system_error>

namespace futures::detail {

namespace os = mp::os;
using namespace std::chrono_literals;

namespace {

/// True once the process stands still or is gone; false when that cannot be seen.
bool is_standing(pid_t pid) noexcept {
    try {
        const auto look = look_at_process(pid);
        return !look ||
               std::string_view("TtZX").find(look->state) != std::string_view::npos;
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace

bool stop_process(int pidfd) {
    try {
        os::pidfd_send_signal(pidfd, SIGSTOP);
        return true;
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::operation_not_permitted) {
            throw;
        }
        return false;
    }
}

void wait_until_stopped(pid_t pid, int pidfd) {
    const mp::Deadline deadline(50ms);
    while (!is_standing(pid) && !deadline.expired() &&
           !os::wait_readable(pidfd, mp::Deadline(1ms))) {
    }
}

void resume_process(int pidfd) noexcept {
    try {
        os::pidfd_send_signal(pidfd, SIGCONT);
    } catch (const std::exception&) {
        return;  // it has ended
    }
}

StoppedProcess::StoppedProcess(int pidfd)
    : pidfd_(pidfd), is_stopped_(stop_process(pidfd)) {}

// The object is there before the body: what throws in that destroys it.
StoppedProcess::StoppedProcess(pid_t pid, int pidfd) : StoppedProcess(pidfd) {
    if (is_stopped_) {
        wait_until_stopped(pid, pidfd);
    }
}

StoppedProcess::~StoppedProcess() {
    if (is_stopped_) {
        resume_process(pidfd_);
    }
}

}  // namespace futures::detail

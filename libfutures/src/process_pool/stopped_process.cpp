// SPDX-License-Identifier: BSL-1.0
#include "process_pool/stopped_process.hpp"

#include "mp/timeout.hpp"

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process_pool/process_look.hpp"

#include <signal.h>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace futures::detail {

namespace os = mp::os;
using namespace std::chrono_literals;

namespace {

constexpr auto longest_stop = 2s;
constexpr auto longest_sleep = 200ms;

/// Whether each of its threads is in one of these states. Of one that cannot be looked
/// at nothing is known.
bool are_all_in(std::string_view states, const std::string& seen) noexcept {
    return seen.find_first_not_of(states) == std::string::npos;
}

std::optional<std::string> states_if_seen(pid_t pid) noexcept {
    try {
        return thread_states(pid);
    } catch (const std::exception&) {
        return std::nullopt;
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
    const mp::Deadline deadline(longest_stop);
    mp::Deadline sleep(longest_sleep);
    do {
        const auto states = states_if_seen(pid);
        if (states && are_all_in("TtZX", *states)) {
            return;
        }
        if (states && !are_all_in("TtZXD", *states)) {
            sleep = mp::Deadline(longest_sleep);
        } else if (sleep.expired()) {
            return;
        }
    } while (!deadline.expired() && !os::wait_readable(pidfd, mp::Deadline(1ms)));
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

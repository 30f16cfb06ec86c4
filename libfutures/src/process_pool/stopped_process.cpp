// SPDX-License-Identifier: BSL-1.0
#include "process_pool/stopped_process.hpp"

#include "mp/timeout.hpp"

#include "os/pidfd.hpp"
#include "os/poll.hpp"

#include <signal.h>

#include <chrono>
#include <exception>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace futures::detail {

namespace os = mp::os;
using namespace std::chrono_literals;

namespace {

/// True once the process stands still or is gone.
bool is_standing(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    // "pid (name) state ...": the name may hold anything.
    const auto name_end = line.rfind(')');
    return name_end == std::string::npos || name_end + 2 >= line.size() ||
           std::string_view("TtZX").find(line[name_end + 2]) != std::string_view::npos;
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

}  // namespace futures::detail

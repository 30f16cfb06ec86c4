// SPDX-License-Identifier: BSL-1.0
// ProcessHandle: a view of the Popen of a child.
#include "mp/process_handle.hpp"

#include "process/active_children.hpp"
#include "process/popen.hpp"
#include "process/process_state.hpp"

#include <signal.h>

#include <utility>

namespace mp {

using detail::ProcessState;

ProcessHandle::ProcessHandle(
    std::shared_ptr<ProcessState> state, std::shared_ptr<detail::Popen> popen
) noexcept
    : state_(std::move(state)), popen_(std::move(popen)) {}

std::string ProcessHandle::name() const {
    return state_->name();
}

pid_t ProcessHandle::pid() const {
    return popen_->pid();
}

bool ProcessHandle::daemon() const {
    return state_->daemon;
}

int ProcessHandle::sentinel() const {
    return popen_->sentinel();
}

bool ProcessHandle::is_alive() const {
    return !exitcode().has_value();
}

std::optional<int> ProcessHandle::exitcode() const {
    const auto code = popen_->poll();
    if (code) {
        detail::forget_child(*state_);
    }
    return code;
}

std::size_t ProcessHandle::peak_memory_bytes() const {
    return exitcode() ? popen_->peak_memory_bytes() : 0;
}

std::chrono::microseconds ProcessHandle::cpu_time() const {
    return exitcode() ? popen_->status().value_or(os::ExitStatus{}).cpu_time
                      : std::chrono::microseconds{};
}

bool ProcessHandle::dumped_core() const {
    return exitcode() && popen_->status().value_or(os::ExitStatus{}).dumped_core;
}

bool ProcessHandle::join(Timeout timeout) const {
    return popen_->wait(Deadline(timeout)) && exitcode().has_value();
}

void ProcessHandle::terminate() const {
    popen_->send_signal(SIGTERM);
}

void ProcessHandle::kill() const {
    popen_->send_signal(SIGKILL);
}

void ProcessHandle::interrupt() const {
    popen_->send_signal(SIGINT);
}

}  // namespace mp

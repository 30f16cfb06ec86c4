// SPDX-License-Identifier: BSL-1.0
#include "process_pool/process_tree.hpp"

#include "mp/timeout.hpp"

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process/own_program.hpp"
#include "process_pool/process_look.hpp"
#include "process_pool/stopped_process.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace futures::detail {

namespace os = mp::os;
using namespace std::chrono_literals;

namespace {

/// A chain of processes, each of which starts the next one and ends, may be faster than
/// whoever follows it.
constexpr auto longest_search = 2s;

bool is_short_of_descriptors(const std::system_error& error) noexcept {
    return error.code() == std::errc::too_many_files_open ||
           error.code() == std::errc::too_many_files_open_in_system;
}

/// Nothing when it has ended.
std::optional<mp::UniqueFd> open_process(pid_t pid) {
    try {
        mp::UniqueFd pidfd = os::pidfd_open(pid);
        if (os::pidfd_ended(pidfd.get())) {
            return std::nullopt;
        }
        return pidfd;
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::no_such_process &&
            error.code() != std::errc::invalid_argument) {
            throw;
        }
        return std::nullopt;
    }
}

/// It deletes the names of shared memory that dead processes leave.
bool is_resource_tracker(pid_t pid) {
    const std::string arguments = command_line_of(pid);
    return arguments.find('\0' + std::string(mp::detail::tracker_argument) + '\0') !=
           std::string::npos;
}

}  // namespace

ProcessTree::~ProcessTree() {
    for (const Member& member : members_) {
        resume_process(member.pidfd.get());
    }
}

void ProcessTree::find() {
    const mp::Deadline deadline(longest_search);
    for (bool more = true; more;) {
        if (deadline.expired()) {
            throw std::runtime_error("they start new ones too fast");
        }
        try {
            more = pass();
        } catch (const std::system_error& error) {
            if (!is_short_of_descriptors(error) || !make_room()) {
                throw;
            }
        }
    }
}

/// True if another one is needed: there was a new one, or one that has ended, whose
/// children are now others'.
bool ProcessTree::pass() {
    bool more = std::erase_if(members_, [](const Member& member) {
                    return os::pidfd_ended(member.pidfd.get());
                }) != 0;
    more = look_at(root_, root_pidfd_) || more;
    // The list grows meanwhile.
    for (std::size_t i = 0; i < members_.size(); ++i) {
        more = look_at(members_[i].pid, members_[i].pidfd.get()) || more;
    }
    return more;
}

bool ProcessTree::look_at(pid_t parent, int pidfd) {
    bool more = false;
    const std::vector<pid_t> children = children_of(parent);
    if (os::pidfd_ended(pidfd)) {
        return pidfd != root_pidfd_;  // the children may be those of another process
    }
    // The youngest first: it is the one that runs away.
    for (auto pid = children.rbegin(); pid != children.rend(); ++pid) {
        more = (!is_known(*pid) && add(*pid, parent, pidfd)) || more;
    }
    return more;
}

bool ProcessTree::is_known(pid_t pid) const noexcept {
    return std::find(done_.begin(), done_.end(), pid) != done_.end() ||
           std::any_of(members_.begin(), members_.end(), [pid](const Member& one) {
               return one.pid == pid;
           });
}

/// True if another pass is needed.
bool ProcessTree::add(pid_t pid, pid_t parent, int parent_pidfd) {
    auto pidfd = open_process(pid);
    if (!pidfd) {
        done_.push_back(pid);
        return true;
    }
    // Both numbers may have been others' when we read them.
    const auto look = look_at_process(pid);
    if (!look || look->parent != parent || os::pidfd_ended(parent_pidfd)) {
        return true;
    }
    if (is_resource_tracker(pid)) {
        done_.push_back(pid);
        return false;
    }
    // First, so that it is let go on, or ended, whatever happens.
    members_.push_back({pid, std::move(*pidfd)});
    const int stopped = members_.back().pidfd.get();
    if (stop_process(stopped)) {
        wait_until_stopped(pid, stopped);
    }
    return true;
}

/// What is killed has no children any more: they are adopted, and found there.
bool ProcessTree::make_room() {
    if (members_.empty()) {
        return false;
    }
    send_all(SIGKILL);
    const mp::Deadline deadline(1s);
    for (const Member& member : members_) {
        os::wait_readable(member.pidfd.get(), deadline);
        done_.push_back(member.pid);
    }
    members_.clear();
    return true;
}

void ProcessTree::send_all(int signal) const noexcept {
    for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
        try {
            os::pidfd_send_signal(member->pidfd.get(), signal);
        } catch (const std::exception& error) {
            mp::detail::log_warning(
                "a process that a task has started (pid " +
                std::to_string(member->pid) + ") cannot be ended: " + error.what()
            );
        }
    }
}

}  // namespace futures::detail

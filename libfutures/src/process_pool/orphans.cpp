// SPDX-License-Identifier: BSL-1.0
#include "process_pool/orphans.hpp"

#include "os/check.hpp"
#include "os/coarse_clock.hpp"
#include "process/active_children.hpp"
#include "process_pool/process_look.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

namespace futures::detail {

namespace os = mp::os;

namespace {

constexpr std::size_t most_of_own_session = 64;

/// Behind a look that found nothing to reap among the children that have ended.
constexpr std::uint64_t pause_ns = 250'000'000;

// The worker's own.
bool keeps_orphans = false;

/// Has any child ended?
bool is_any_over() noexcept {
    siginfo_t info{};
    const int result = os::restarting([&] {
        return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    });
    return result == 0 && info.si_pid != 0;
}

bool reap(pid_t pid) noexcept {
    siginfo_t info{};
    const int result = os::restarting([&] {
        return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
    });
    return result == 0 && info.si_pid != 0;
}

/// The children that have ended and belong to no mp::Process, eldest first.
std::vector<pid_t> zombies() {
    std::vector<pid_t> held;
    for (const auto& child : mp::detail::remembered_children()) {
        held.push_back(child.popen->pid());
    }
    std::vector<pid_t> found;
    for (const pid_t pid : children_of(::getpid())) {
        const auto look = look_at_process(pid);
        if (look && look->state == 'Z' &&
            std::find(held.begin(), held.end(), pid) == held.end()) {
            found.push_back(pid);
        }
    }
    return found;
}

/// Whether any was reaped.
bool reap_some() {
    bool any = false;
    const pid_t session = ::getsid(0);
    std::vector<pid_t> of_own;
    for (const pid_t pid : zombies()) {
        if (::getsid(pid) == session) {
            of_own.push_back(pid);
        } else {
            any = reap(pid) || any;
        }
    }
    for (std::size_t i = 0; i + most_of_own_session < of_own.size(); ++i) {
        any = reap(of_own[i]) || any;
    }
    return any;
}

}  // namespace

void keep_orphans(bool keep) noexcept {
    keeps_orphans = keep;
    if (keep) {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
}

void reap_orphans() noexcept {
    if (!keeps_orphans) {
        return;
    }
    static std::uint64_t next_look = 0;
    const std::uint64_t now = os::coarse_now();
    if (now < next_look) {
        return;
    }
    next_look = now + 1;  // at the next tick
    if (!is_any_over()) {
        return;
    }
    try {
        if (!reap_some()) {
            next_look = now + pause_ns;
        }
    } catch (const std::exception&) {
        next_look = now + pause_ns;  // no memory, or no descriptor
    }
}

}  // namespace futures::detail

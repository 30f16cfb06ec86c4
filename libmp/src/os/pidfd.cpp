// SPDX-License-Identifier: BSL-1.0
#include "os/pidfd.hpp"

#include "os/check.hpp"
#include "os/file_text.hpp"
#include "os/new_fd.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

// glibc 2.36 knows the type but not this member of the enumeration in C++ mode
// everywhere.
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace mp::os {
namespace {

// <linux/pidfd.h> of Debian 12 is older than this request; the layout is the kernel's
// ABI.
struct PidfdInfo {
    std::uint64_t mask;
    std::uint64_t cgroupid;
    std::uint32_t pid, tgid, ppid;
    std::uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    std::int32_t exit_code;
    std::uint32_t coredump_mask;
    std::uint32_t spare;
};

constexpr std::uint64_t pidfd_info_exit = 1U << 3;

// Readable for ever, as the pidfd of a process that has ended.
UniqueFd fd_of_ended_process() {
    return new_fd("eventfd", [] { return ::eventfd(1, EFD_CLOEXEC); });
}

/// Is it a child of this process, which may have ended?
bool is_own_child(int pidfd) {
    siginfo_t info{};
    const auto type = static_cast<idtype_t>(P_PIDFD);
    const auto id = static_cast<id_t>(pidfd);
    const int result = restarting([&] {
        return ::waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT);
    });
    if (result != 0 && last_error() != std::errc::no_child_process) {
        throw_last_error("waitid(P_PIDFD)");
    }
    return result == 0;
}

/// A sandbox answers so for a call that it does not know; a process may also not be
/// ours to signal, and kill() says so, too.
bool may_be_refused(std::error_code error) noexcept {
    return error == std::errc::function_not_supported ||
           error == std::errc::operation_not_permitted;
}

/// Where pidfd_send_signal() is refused: for a process that has not ended. In the
/// moment until kill() it may end, and its number come again only after all others.
int kill_by_number(int pidfd, int signal) {
    const std::error_code refused = last_error();
    const std::string text =
        text_of_file("/proc/self/fdinfo/" + std::to_string(pidfd)).value_or("");
    Words words(text);
    std::string_view word = words.next();
    while (!word.empty() && word != "Pid:") {
        word = words.next();
    }
    const pid_t pid = words.next_number<pid_t>().value_or(0);
    if (pid <= 0) {
        set_last_error(refused.value());
        return -1;
    }
    return ::kill(pid, signal);
}

std::chrono::microseconds time_of(const timeval& time) noexcept {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

UniqueFd pidfd_open(pid_t pid) {
    return new_fd("pidfd_open", [pid] { return ::syscall(SYS_pidfd_open, pid, 0); });
}

UniqueFd pidfd_of_new_child(pid_t pid) {
    try {
        UniqueFd pidfd = pidfd_open(pid);
        if (is_own_child(pidfd.get()) || pidfd_ended(pidfd.get())) {
            return pidfd;
        }
    } catch (const std::exception& error) {
        const auto* const failed = dynamic_cast<const std::system_error*>(&error);
        if (failed == nullptr || failed->code() != std::errc::no_such_process) {
            ::kill(pid, SIGKILL);
            restarting([&] { return ::waitpid(pid, nullptr, 0); });
            throw;
        }
    }
    // Reaped before or since: the pid may be another's by now, so nothing is done to
    // it.
    return fd_of_ended_process();
}

bool pidfd_send_signal(int pidfd, int signal) {
    auto result = ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
    if (result < 0 && may_be_refused(last_error()) && !pidfd_ended(pidfd)) {
        result = kill_by_number(pidfd, signal);
    }
    if (result < 0) {
        if (last_error() == std::errc::no_such_process) {
            return false;
        }
        throw_last_error("pidfd_send_signal");
    }
    return true;
}

bool pidfd_ended(int pidfd) {
    pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
    return check_restarting("poll(pidfd)", [&] { return ::poll(&entry, 1, 0); }) > 0;
}

ExitStatus exit_status(int wait_status) {
    if (WIFSIGNALED(wait_status)) {
        return {
            .code = -WTERMSIG(wait_status), .dumped_core = WCOREDUMP(wait_status) != 0};
    }
    return {.code = WEXITSTATUS(wait_status)};
}

std::optional<ExitStatus> pidfd_reap(int pidfd) {
    siginfo_t info{};
    rusage used{};
    check_restarting("waitid(P_PIDFD)", [&] {
        // The C library's waitid() hides that the kernel's tells what was used, too.
        return ::syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, &used);
    });
    if (info.si_pid == 0) {
        return std::nullopt;
    }
    ExitStatus status;
    status.code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    status.dumped_core = info.si_code == CLD_DUMPED;
    status.peak_memory_bytes = static_cast<std::size_t>(used.ru_maxrss) * 1024;
    status.cpu_time = time_of(used.ru_utime) + time_of(used.ru_stime);
    return status;
}

std::optional<ExitStatus> pidfd_remembered_status(int pidfd) {
    PidfdInfo info{};
    info.mask = pidfd_info_exit;
    constexpr unsigned long request = _IOWR(0xFF, 11, PidfdInfo);
    if (::ioctl(pidfd, request, &info) < 0 || (info.mask & pidfd_info_exit) == 0) {
        return std::nullopt;
    }
    return exit_status(info.exit_code);
}

std::optional<ExitStatus> pidfd_collect_status(int pidfd) {
    try {
        return pidfd_reap(pidfd);
    } catch (const std::system_error&) {
        // ECHILD: the kernel reaped it because SIGCHLD is ignored, or somebody else's
        // waitpid(-1) did. EINVAL: it is the stand-in for such a process.
    }
    if (!pidfd_ended(pidfd)) {
        return std::nullopt;
    }
    return pidfd_remembered_status(pidfd).value_or(ExitStatus{.code = unknown_code});
}

std::optional<int> pidfd_collect(int pidfd) {
    const auto status = pidfd_collect_status(pidfd);
    return status ? std::optional(status->code) : std::nullopt;
}

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
#include "os/exec.hpp"

#include "os/check.hpp"
#include "os/signals.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>  // program_invocation_short_name

namespace mp::os {
namespace {

// CHILD SIDE: async-signal-safe calls only. The child of vfork shares our memory.
void inherit_only(std::span<const int> keep) noexcept {
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        const long limit = ::sysconf(_SC_OPEN_MAX);
        for (int fd = 3; fd < limit; ++fd) {
            ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
    for (const int fd : keep) {
        ::fcntl(fd, F_SETFD, 0);
    }
}

[[noreturn]] void become(
    const char* program,
    char* const* arguments,
    std::span<const int> keep,
    volatile int& error
) noexcept {
    inherit_only(keep);
    restore_signals();
    ::execv(program, arguments);
    error = last_error().value();
    ::_exit(127);
}

// END OF CHILD SIDE

}  // namespace

pid_t start_program(
    const std::string& program,
    const std::vector<std::string>& arguments,
    std::span<const int> keep
) {
    // All that needs memory, before there is a child.
    std::vector<char*> argv;
    argv.push_back(const_cast<char*>(program.c_str()));
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    volatile int error = 0;  // the child writes here
    pid_t pid = -1;
    {
        // A handler that ran in the child would do so in our memory.
        const SignalsBlocked blocked;
        pid = ::vfork();
        if (pid == 0) {
            become(program.c_str(), argv.data(), keep, error);
        }
        if (pid < 0) {
            error = last_error().value();
        }
    }
    if (error != 0) {
        if (pid > 0) {
            restarting([&] { return ::waitpid(pid, nullptr, 0); });
        }
        throw_error(error, ("exec " + program).c_str());
    }
    return pid;
}

std::string own_program() {
    static constexpr const char* link = "/proc/self/exe";
    std::array<char, 4096> path{};
    const auto length = ::readlink(link, path.data(), path.size() - 1);
    struct stat by_path {};
    struct stat by_link {};
    if (length > 0 && ::stat(path.data(), &by_path) == 0 &&
        ::stat(link, &by_link) == 0 && by_path.st_ino == by_link.st_ino &&
        by_path.st_dev == by_link.st_dev) {
        return {path.data(), static_cast<std::size_t>(length)};
    }
    return link;
}

const char* program_short_name() noexcept {
    return program_invocation_short_name;
}

}  // namespace mp::os

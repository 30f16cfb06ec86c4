// SPDX-License-Identifier: BSL-1.0
#include "exec.hpp"

#include "check.hpp"
#include "signals.hpp"

// Without these the header-only Asio of 1.81 warns about its own deprecated parts.
#define BOOST_ASIO_NO_DEPRECATED
#include <boost/asio/io_context.hpp>
#include <boost/process/v2/posix/vfork_launcher.hpp>
#include <boost/process/v2/process.hpp>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>  // program_invocation_short_name
#include <system_error>

namespace mp::os {
namespace {

namespace process = boost::process::v2;
using boost::system::error_code;

// Our rules for the child, as one initializer of the launcher. The launcher's own ones
// leak descriptors or run exit handlers on a failed exec; see the dependency notes in
// docs.
struct ChildRules {
    std::span<const int> keep;

    template <class Launcher>
    error_code
    on_setup(Launcher& launcher, const boost::filesystem::path&, const char* const*) {
        // The launcher closes what is not listed here, the standard streams included.
        launcher.fd_whitelist = {0, 1, 2};
        launcher.fd_whitelist.insert(
            launcher.fd_whitelist.end(), keep.begin(), keep.end()
        );
        return {};
    }

    // CHILD SIDE: async-signal-safe calls only. The child of vfork shares our memory.
    template <class Launcher>
    error_code
    on_exec_setup(Launcher&, const boost::filesystem::path&, const char* const*) {
        if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
            close_on_exec_one_by_one();
        }
        for (const int fd : keep) {
            ::fcntl(fd, F_SETFD, 0);
        }
        restore_signals();
        return {};
    }

    // Any arguments: Boost 1.81 looks for this function with others than it calls it
    // with, and where it finds none the child runs the parent's exit handlers, in its
    // memory.
    template <class... Arguments>
    void on_exec_error(Arguments&&...) {
        ::_exit(127);
    }

    static void close_on_exec_one_by_one() {
        const long limit = ::sysconf(_SC_OPEN_MAX);
        for (int fd = 3; fd < limit; ++fd) {
            ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
    // END OF CHILD SIDE
};

}  // namespace

pid_t start_program(
    const std::string& program,
    const std::vector<std::string>& arguments,
    std::span<const int> keep
) {
    // Made anew for each start: what it opens (an epoll set) is closed again on return.
    boost::asio::io_context context;
    error_code error;
    process::posix::vfork_launcher launcher;
    auto child =
        launcher(context.get_executor(), error, program, arguments, ChildRules{keep});
    if (error) {
        if (launcher.pid > 0) {
            restarting([&] { return ::waitpid(launcher.pid, nullptr, 0); });
        }
        throw std::system_error(
            error.value(), std::generic_category(), "exec " + program
        );
    }
    const pid_t pid = child.id();
    child.detach();
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

// SPDX-License-Identifier: BSL-1.0
#include "os/process_id.hpp"

#include "mp/fd.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace mp::os {

namespace {

struct Status {
    char state = 'X';
    std::uint64_t threads = 0;
    std::uint64_t start = 0;
};

// Fields of /proc/PID/stat, counted from 1; the name before them may hold anything,
// so they are counted from the last parenthesis.
constexpr int first_field = 3;
constexpr int threads_field = 20;
constexpr int start_field = 22;

// Allocates nothing: it is called while locks are waited for.
std::optional<Status> status_of(pid_t pid) noexcept {
    std::array<char, 40> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid));
    const UniqueFd file =
        try_new_fd([&] { return ::open(path.data(), O_RDONLY | O_CLOEXEC); });
    if (!file) {
        return std::nullopt;
    }
    std::array<char, 1024> text{};
    const auto size =
        restarting([&] { return ::read(file.get(), text.data(), text.size() - 1); });
    const char* at = size > 0 ? std::strrchr(text.data(), ')') : nullptr;
    if (at == nullptr || at[1] == '\0') {
        return std::nullopt;
    }
    Status status;
    at += 2;
    status.state = *at;
    for (int field = first_field; at != nullptr && field <= start_field; ++field) {
        if (field == threads_field) {
            status.threads = std::strtoull(at, nullptr, 10);
        } else if (field == start_field) {
            status.start = std::strtoull(at, nullptr, 10);
            return status;
        }
        at = std::strchr(at, ' ');
        at = at == nullptr ? nullptr : at + 1;
    }
    return std::nullopt;
}

}  // namespace

bool exists(pid_t pid) noexcept {
    return pid > 0 &&
           (::kill(pid, 0) == 0 || last_error() != std::errc::no_such_process);
}

ProcessId own_process_id() noexcept {
    const pid_t pid = ::getpid();
    const auto status = status_of(pid);
    return {.pid = pid, .start = status ? status->start : 0};
}

bool is_alive(const ProcessId& process) noexcept {
    if (process.pid <= 0) {
        return false;
    }
    const auto status = status_of(process.pid);
    if (!status) {
        // Without /proc, or where other users' processes are hidden in it, the pid is
        // all there is. To take a live process for a dead one would be the worse error.
        return exists(process.pid);
    }
    const bool over = status->state == 'Z' || status->state == 'X';
    return status->start == process.start && (!over || status->threads > 1);
}

std::uint64_t pid_namespace() noexcept {
    struct stat status {};
    return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

}  // namespace mp::os

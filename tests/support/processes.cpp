// SPDX-License-Identifier: BSL-1.0
// Looks again and again: nothing tells of what these wait for.
#include "support/processes.hpp"

#include "support/gone.hpp"

#include <poll.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace test {

namespace {

namespace fs = std::filesystem;

bool has_open(pid_t pid, const std::string& path) {
    std::error_code gone;
    fs::directory_iterator fds("/proc/" + std::to_string(pid) + "/fd", gone);
    for (; !gone && fds != fs::directory_iterator(); fds.increment(gone)) {
        std::error_code closed;
        if (fs::read_symlink(fds->path(), closed) == path) {
            return true;
        }
    }
    return false;
}

/// Looks again every millisecond until `done()` or the deadline.
template <class Done>
bool eventually(mp::Timeout timeout, Done done) {
    const mp::Deadline deadline(timeout);
    while (!done()) {
        if (deadline.expired()) {
            return false;
        }
        ::poll(nullptr, 0, 1);
    }
    return true;
}

}  // namespace

std::vector<pid_t> descendants(pid_t pid) {
    std::vector<pid_t> found;
    std::error_code gone;
    fs::directory_iterator tasks("/proc/" + std::to_string(pid) + "/task", gone);
    for (; !gone && tasks != fs::directory_iterator(); tasks.increment(gone)) {
        std::ifstream children(tasks->path() / "children");
        for (pid_t child = 0; children >> child;) {
            found.push_back(child);
            const std::vector<pid_t> below = descendants(child);
            found.insert(found.end(), below.begin(), below.end());
        }
    }
    std::erase_if(found, is_gone);
    return found;
}

std::optional<pid_t> wait_for_reader(
    pid_t pid,
    const std::string& path,
    mp::Timeout timeout,
    const std::vector<pid_t>& except
) {
    std::optional<pid_t> reader;
    eventually(timeout, [&] {
        for (const pid_t candidate : descendants(pid)) {
            if (std::find(except.begin(), except.end(), candidate) == except.end() &&
                has_open(candidate, path)) {
                reader = candidate;
            }
        }
        return reader.has_value();
    });
    return reader;
}

bool wait_for_open(pid_t pid, const std::string& path, mp::Timeout timeout) {
    return eventually(timeout, [&] { return has_open(pid, path); });
}

bool wait_for_full_pipe(int write_end, mp::Timeout timeout) {
    return eventually(timeout, [&] {
        pollfd room{write_end, POLLOUT, 0};
        return ::poll(&room, 1, 0) == 0;
    });
}

bool wait_for_end(const std::vector<pid_t>& pids, mp::Timeout timeout) {
    return eventually(timeout, [&] {
        return std::all_of(pids.begin(), pids.end(), is_gone);
    });
}

}  // namespace test

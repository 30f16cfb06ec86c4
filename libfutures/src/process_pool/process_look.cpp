// SPDX-License-Identifier: BSL-1.0
#include "process_pool/process_look.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace futures::detail {

namespace os = mp::os;
namespace fs = std::filesystem;

namespace {

bool means_gone(std::error_code error) noexcept {
    return error == std::errc::no_such_file_or_directory ||
           error == std::errc::no_such_process;
}

std::nullopt_t gone_or_throw(const std::string& path) {
    if (!means_gone(os::last_error())) {
        os::throw_last_error(path.c_str());
    }
    return std::nullopt;
}

/// Nothing when there is no such file: its process, or thread, is gone.
std::optional<std::string> text_of(const std::string& path) {
    const mp::UniqueFd file =
        os::try_new_fd([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
    if (!file) {
        return gone_or_throw(path);
    }
    std::string text;
    std::array<char, 4096> part;
    for (;;) {
        const auto got = os::restarting([&] {
            return ::read(file.get(), part.data(), part.size());
        });
        if (got < 0) {
            return gone_or_throw(path);
        }
        if (got == 0) {
            return text;
        }
        text.append(part.data(), static_cast<std::size_t>(got));
    }
}

std::string folder_of(pid_t pid) {
    return "/proc/" + std::to_string(pid);
}

/// The names in it; none when it is gone.
std::vector<std::string> entries_of(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator at(folder, error);
    while (!error && at != fs::directory_iterator()) {
        names.push_back(at->path().filename().string());
        at.increment(error);
    }
    if (error && !means_gone(error)) {
        throw std::system_error(error, folder);
    }
    return names;
}

bool is_number(const std::string& name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return c >= '0' && c <= '9';
    });
}

/// By looking at all processes, where the kernel lists no children.
std::vector<pid_t> children_by_search(pid_t parent) {
    std::vector<pid_t> children;
    for (const std::string& name : entries_of("/proc")) {
        if (!is_number(name)) {
            continue;
        }
        const auto pid = static_cast<pid_t>(std::stol(name));
        const auto look = look_at_process(pid);
        if (look && look->parent == parent) {
            children.push_back(pid);
        }
    }
    return children;
}

}  // namespace

std::optional<ProcessLook> look_at_process(pid_t pid) {
    const auto line = text_of(folder_of(pid) + "/stat");
    // "pid (name) state parent ...": the name may hold anything.
    const auto name_end = line ? line->rfind(')') : std::string::npos;
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    std::istringstream rest(line->substr(name_end + 1));
    ProcessLook look;
    rest >> look.state >> look.parent;
    return look;
}

std::string command_line_of(pid_t pid) {
    return text_of(folder_of(pid) + "/cmdline").value_or("");
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    bool listed = false;
    const std::string threads = folder_of(parent) + "/task";
    for (const std::string& thread : entries_of(threads)) {
        const auto list = text_of(threads + "/" + thread + "/children");
        listed = listed || list.has_value();
        std::istringstream numbers(list.value_or(""));
        for (pid_t pid = 0; numbers >> pid;) {
            children.push_back(pid);
        }
    }
    return listed ? children : children_by_search(parent);
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/process_look.hpp"

#include "os/check.hpp"
#include "os/file_text.hpp"

#include <filesystem>
#include <string_view>
#include <system_error>

namespace futures::detail {

namespace os = mp::os;
namespace fs = std::filesystem;

namespace {

bool means_gone(std::error_code error) noexcept {
    return error == std::errc::no_such_file_or_directory ||
           error == std::errc::no_such_process;
}

/// Nothing when there is no such file: its process, or thread, is gone.
std::optional<std::string> text_of(const std::string& path) {
    auto text = os::text_of_file(path);
    if (!text && !means_gone(os::last_error())) {
        os::throw_last_error(path.c_str());
    }
    return text;
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

/// A process or one of its threads, by its folder; nothing when it is gone.
std::optional<ProcessLook> look_at(const std::string& folder) {
    const auto line = text_of(folder + "/stat");
    // "pid (name) state parent ...": the name may hold anything.
    const auto name_end = line ? line->rfind(')') : std::string::npos;
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    os::Words rest(std::string_view(*line).substr(name_end + 1));
    ProcessLook look;
    if (const std::string_view state = rest.next(); !state.empty()) {
        look.state = state.front();
    }
    look.parent = rest.next_number<pid_t>().value_or(0);
    return look;
}

/// By looking at all processes, where the kernel lists no children.
std::vector<pid_t> children_by_search(pid_t parent) {
    std::vector<pid_t> children;
    for (const std::string& name : entries_of("/proc")) {
        const auto pid = os::Words(name).next_number<pid_t>();
        if (!pid) {
            continue;
        }
        const auto look = look_at_process(*pid);
        if (look && look->parent == parent) {
            children.push_back(*pid);
        }
    }
    return children;
}

}  // namespace

std::optional<ProcessLook> look_at_process(pid_t pid) {
    return look_at(folder_of(pid));
}

std::string thread_states(pid_t pid) {
    std::string states;
    const std::string threads = folder_of(pid) + "/task";
    for (const std::string& thread : entries_of(threads)) {
        if (const auto look = look_at(threads + "/" + thread)) {
            states.push_back(look->state);
        }
    }
    return states;
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
        os::Words numbers(list ? *list : std::string_view());
        while (const auto pid = numbers.next_number<pid_t>()) {
            children.push_back(*pid);
        }
    }
    return listed ? children : children_by_search(parent);
}

}  // namespace futures::detail

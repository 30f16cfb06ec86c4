// SPDX-License-Identifier: BSL-1.0
#include "process/child_place.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"

#include <unistd.h>

#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace mp::detail {
namespace {

/// They stay for ever, as what setenv() makes.
struct Variables {
    std::vector<char*> list;
    std::deque<std::string> texts;  // which do not move
    Variables* before = nullptr;
};

[[noreturn]] void refuse(const std::string& what) {
    throw SpawnError(SpawnStage::os, what);
}

}  // namespace

void check_names(const Environment& changes) {
    for (const auto& [name, value] : changes) {
        if (name.empty() ||
            name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
            refuse("no environment variable can have the name '" + name + "'");
        }
    }
}

std::string directory_of_child(const std::string& chosen) {
    std::error_code error;
    if (chosen.empty()) {
        return std::filesystem::current_path(error).string();
    }
    const auto path = std::filesystem::absolute(chosen);
    if (!std::filesystem::is_directory(path, error) ||
        ::access(path.c_str(), X_OK) != 0) {
        if (!error) {
            error =
                std::filesystem::exists(path) && !std::filesystem::is_directory(path)
                    ? std::make_error_code(std::errc::not_a_directory)
                    : os::last_error();
        }
        refuse(
            "the working directory of a child, " + path.string() +
            ", cannot be entered: " + error.message()
        );
    }
    return path.string();
}

void change_environment(const Environment& changes) {
    if (changes.empty()) {
        return;
    }
    auto changed = std::make_unique<Variables>();
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
        const std::string_view variable(*at);
        if (!changes.contains(std::string(variable.substr(0, variable.find('='))))) {
            changed->list.push_back(*at);
        }
    }
    for (const auto& [name, value] : changes) {
        if (value) {
            changed->texts.push_back(name + '=' + *value);
            changed->list.push_back(changed->texts.back().data());
        }
    }
    changed->list.push_back(nullptr);
    // Some of the variables may be those of the ones before.
    static Variables* latest = nullptr;
    changed->before = latest;
    latest = changed.release();
    environ = latest->list.data();
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "process/child_place.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace mp::detail {
namespace {

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

void change_environment(const Environment& changes) noexcept {
    for (const auto& [name, value] : changes) {
        if (value) {
            ::setenv(name.c_str(), value->c_str(), 1);
        } else {
            ::unsetenv(name.c_str());
        }
    }
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// The CPythons of this machine, and running a script in one of them.
#pragma once

#include "support/fork_child.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace test {

/// `python3` of PATH and every one that pyenv has installed.
inline std::vector<std::string> pythons() {
    std::vector<std::string> found{"python3"};
    const char* root = std::getenv("PYENV_ROOT");
    const char* home = std::getenv("HOME");
    const std::filesystem::path versions =
        (root != nullptr
             ? std::filesystem::path(root)
             : std::filesystem::path(home != nullptr ? home : "/") / ".pyenv") /
        "versions";
    std::error_code none;
    for (const auto& version : std::filesystem::directory_iterator(versions, none)) {
        const std::filesystem::path program = version.path() / "bin" / "python3";
        if (std::filesystem::exists(program)) {
            found.push_back(program.string());
        }
    }
    std::sort(found.begin() + 1, found.end());
    return found;
}

/// Runs `program -c script fd arguments...`; `fd` is the only descriptor it gets beside
/// the standard ones. Its exit status is 127 when there is no such program.
inline pid_t run_python(const std::string& program, const std::string& script, int fd) {
    const std::string number = std::to_string(fd);
    return fork_child([&] {
        ::fcntl(fd, F_SETFD, 0);
        ::execlp(
            program.c_str(),
            program.c_str(),
            "-c",
            script.c_str(),
            number.c_str(),
            nullptr
        );
        return 127;
    });
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// exec: starts a program that inherits exactly the descriptors it is given.
#pragma once

#include "mp/detail/environment.hpp"

#include <sys/types.h>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mp::os {

/// What a program finds otherwise than this process has it.
struct Surroundings {
    const Environment* environment = nullptr;  ///< changes of it
    std::string directory{};                   ///< this one if empty
};

/// Starts `program` with `arguments` (without argv[0], which is the program's path).
/// Besides 0, 1 and 2 (which are /dev/null if they are closed here) it inherits the
/// descriptors in `keep`, under their numbers, and nothing else. It starts with the
/// signal mask that the library was loaded with, and with this environment, with
/// `variable` ("NAME=value") added, and as `surroundings` says. Returns its pid; the
/// child is the caller's to reap. Throws std::system_error when it cannot be created or
/// executed.
pid_t start_program(
    const std::string& program,
    const std::vector<std::string>& arguments,
    std::span<const int> keep,
    const std::string& variable = {},
    const Surroundings& surroundings = {}
);

/// A program, and all that it may find otherwise than this process has it.
struct ProgramStart {
    std::vector<std::string> paths;      ///< the first that can be executed
    std::vector<std::string> arguments;  ///< with its name, argv[0]
    /// "NAME=value"; this process's if there is none.
    std::optional<std::vector<std::string>> environment{};
    std::string directory{};  ///< this one if empty; relative paths are found from it
    /// What its 0, 1 and 2 are duplicates of; -1 for those of this process.
    std::array<int, 3> streams{-1, -1, -1};
    std::vector<int> keep{};  ///< descriptors that it inherits besides
    bool new_session = false;
    std::optional<uid_t> user{};
    std::optional<gid_t> group{};
    std::optional<std::vector<gid_t>> extra_groups{};
    std::optional<mode_t> umask{};
};

/// The same as above for this.
pid_t start_program(const ProgramStart& start);

/// The path under which this very program can be executed again, even when its file has
/// been replaced or removed since; that of the loader if it was started by hand.
std::string own_program();

/// What has to stand before the arguments then: nothing, or the program, where the
/// loader was started with that (ld.so ./program).
std::vector<std::string> own_first_arguments();

/// A path of the program's file, to read.
std::string own_file();

/// Is /proc mounted?
bool has_proc() noexcept;

/// The name it was started under, without its folders.
const char* program_short_name() noexcept;

}  // namespace mp::os

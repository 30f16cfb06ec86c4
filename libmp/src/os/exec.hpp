// SPDX-License-Identifier: BSL-1.0
// exec: starts a program that inherits exactly the descriptors it is given.
#pragma once

#include "mp/detail/environment.hpp"

#include <sys/types.h>

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

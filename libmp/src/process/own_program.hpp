// SPDX-License-Identifier: BSL-1.0
// own_program: runs this program again, as a child or as a helper.
#pragma once

#include "mp/fd.hpp"

#include "os/exec.hpp"

#include <sys/types.h>

#include <string>

namespace mp::detail {

/// The kinds of such a run: the first argument, by which freeze_support() tells them.
inline constexpr const char* child_argument = "--multiprocessing-fork";
inline constexpr const char* tracker_argument = "--multiprocessing-tracker";
inline constexpr const char* server_argument = "--multiprocessing-forkserver";

/// Runs this program again, with `kind` and the number of `socket` as its arguments; it
/// inherits that socket only. Throws SpawnError{exec}.
pid_t start_own_program(
    const std::string& kind,
    const UniqueFd& socket,
    const os::Surroundings& surroundings = {}
);

}  // namespace mp::detail

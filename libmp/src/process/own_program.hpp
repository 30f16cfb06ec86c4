// SPDX-License-Identifier: BSL-1.0
// spawn: this program run again, as a child or as a helper.
#pragma once

#include "mp/detail/bytes.hpp"
#include "mp/fd.hpp"

#include "process/preparation.hpp"

#include <sys/types.h>

#include <string>

namespace mp::detail {

/// What a child does once it knows who it is; its code reference stands first in the
/// body. Returns the exit code.
using ChildBody = int (*)(Preparation&& preparation, ByteReader& in);

/// Runs this program again, with `kind` and the number of `socket` as its arguments; it
/// inherits that socket only. Throws SpawnError{exec}.
pid_t start_own_program(const std::string& kind, const UniqueFd& socket);

inline constexpr const char* child_argument = "--multiprocessing-fork";
inline constexpr const char* tracker_argument = "--multiprocessing-tracker";
inline constexpr const char* server_argument = "--multiprocessing-forkserver";

/// The life of a child that was born with `socket`; leaves by exit().
[[noreturn]] void run_child(UniqueFd socket);

/// Throws StateError in a child of the program that has not reached freeze_support()
/// yet: starting a process there would never end.
void refuse_while_bootstrapping();

}  // namespace mp::detail

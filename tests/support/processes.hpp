// SPDX-License-Identifier: BSL-1.0
// What other processes do, as /proc shows it: for tests that kill or interrupt them at
// a known point.
#pragma once

#include "mp/timeout.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace test {

/// All processes below `pid` that have not ended.
std::vector<pid_t> descendants(pid_t pid);

/// Waits until a process below `pid`, and none of `except`, has `path` open.
std::optional<pid_t> wait_for_reader(
    pid_t pid,
    const std::string& path,
    mp::Timeout timeout,
    const std::vector<pid_t>& except = {}
);

/// Waits until `pid` itself has `path` open.
bool wait_for_open(pid_t pid, const std::string& path, mp::Timeout timeout);

/// Waits until the pipe is so full that the next write blocks.
bool wait_for_full_pipe(int write_end, mp::Timeout timeout);

/// Waits until none of them runs.
bool wait_for_end(const std::vector<pid_t>& pids, mp::Timeout timeout);

}  // namespace test

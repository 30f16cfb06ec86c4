// SPDX-License-Identifier: BSL-1.0
// gone_within(processes, usual): whether they all ended, with patience().
#pragma once

#include "support/patience.hpp"
#include "support/proc.hpp"

#include <sys/types.h>

#include <chrono>
#include <thread>
#include <vector>

namespace test {

/// An orphan is reaped by the process that adopts it, which may take its time: a zombie
/// runs no more.
inline bool is_gone(pid_t process) {
    ProcStat stat;
    return !read_stat(process, stat) || stat.zombie();
}

inline bool
gone_within(const std::vector<pid_t>& processes, std::chrono::milliseconds usual) {
    const auto end = std::chrono::steady_clock::now() + patience(usual);
    for (const pid_t process : processes) {
        while (!is_gone(process)) {
            if (std::chrono::steady_clock::now() > end) {
                return false;
            }
            std::this_thread::yield();
        }
    }
    return true;
}

}  // namespace test

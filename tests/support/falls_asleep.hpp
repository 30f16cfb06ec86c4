// SPDX-License-Identifier: BSL-1.0
// falls_asleep(thread): waits until a thread of this process sleeps in the kernel.
#pragma once

#include "support/proc.hpp"
#include "support/soon.hpp"

#include <sys/types.h>

#include <atomic>
#include <cstring>
#include <string>

namespace test {

/// True as soon as the thread whose number is, or will be, in `thread` sleeps.
inline bool falls_asleep(const std::atomic<pid_t>& thread) {
    return soon([&] {
        const auto path = "/proc/self/task/" + std::to_string(thread) + "/stat";
        const FileText stat(path.c_str());
        const char* const end = std::strrchr(stat.text, ')');
        return end != nullptr && end[1] == ' ' && end[2] == 'S';
    });
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// ProcessId: names a process so that no reuse of its pid can confuse it.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace mp::os {

struct ProcessId {
    pid_t pid = 0;
    /// When the process began, in the kernel's clock ticks; 0 when /proc does not tell.
    std::uint64_t start = 0;
};

ProcessId own_process_id() noexcept;

/// Whether that very process still runs. A zombie does not; one whose first thread has
/// ended while others go on does.
bool is_alive(const ProcessId& process) noexcept;

/// Whether a process or a thread of that number exists, whichever it is.
bool exists(pid_t pid) noexcept;

/// The number of this process's pid namespace: pids mean something only inside of it. 0
/// when /proc does not tell.
std::uint64_t pid_namespace() noexcept;

}  // namespace mp::os

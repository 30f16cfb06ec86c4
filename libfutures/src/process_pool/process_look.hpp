// SPDX-License-Identifier: BSL-1.0
// process_look: what the kernel tells of another process, in /proc. That a process is
// gone is one thing, that one cannot look, as without a descriptor, is another.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace futures::detail {

struct ProcessLook {
    char state = 0;  ///< 'Z': its main thread has ended
    pid_t parent = 0;
};

/// Nothing when it is gone. Throws std::system_error when that cannot be seen.
std::optional<ProcessLook> look_at_process(pid_t pid);

/// The states of all its threads, a letter each; empty when it is gone. Throws as
/// above.
std::string thread_states(pid_t pid);

/// Its words, each with a 0 behind it; empty when it is gone. Throws as above.
std::string command_line_of(pid_t pid);

/// Of all its threads, for each the eldest first; none when it is gone. Exact while it
/// stands still. Throws as above.
std::vector<pid_t> children_of(pid_t parent);

}  // namespace futures::detail

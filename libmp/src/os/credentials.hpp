// SPDX-License-Identifier: BSL-1.0
// Credentials: the user that a process acts as. A helper process has those with which
// it was started, for ever; the process that uses it may have given up some since.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <vector>

namespace mp::os {

/// The calling thread's: real, effective and saved ids, groups and capabilities.
struct Credentials {
    /// Throws std::system_error.
    static Credentials now();

    bool operator==(const Credentials&) const = default;

    std::array<uid_t, 3> users{};
    std::array<gid_t, 3> groups{};
    std::vector<gid_t> supplementary_groups;
    /// Effective, permitted and inheritable, in two halves, as the kernel gives them;
    /// none where it may not be asked.
    std::array<std::uint32_t, 6> capabilities{};
};

}  // namespace mp::os

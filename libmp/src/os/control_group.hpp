// SPDX-License-Identifier: BSL-1.0
// control_group: how much memory and processor time the control groups (a container's)
// of this process leave it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace mp::os {

/// Where the system tells of control groups; elsewhere in tests.
struct ControlGroupFiles {
    std::string membership = "/proc/self/cgroup";
    std::string folder = "/sys/fs/cgroup";
};

/// How many processors' time the groups of this process have, the tightest on the way
/// up, in both kinds of hierarchies, rounded up, and at most `all`. A file that is
/// empty, or in which something else stands, is no limit.
int cpus_in_control_groups(int all, const ControlGroupFiles& files = {});

/// How many bytes of memory the groups of this process leave it, the tightest on the
/// way up, in both kinds of hierarchies. What the kernel can drop at once, pages of
/// files that are not in use, counts as free. The greatest number without a limit.
std::size_t left_in_control_groups(const ControlGroupFiles& files = {});

/// How many processes of this one's control group, and of those below it where the
/// hierarchy is the unified one, the kernel has killed for lack of memory. Nothing
/// where it does not tell.
std::optional<std::uint64_t> oom_kills(const ControlGroupFiles& files = {});

}  // namespace mp::os

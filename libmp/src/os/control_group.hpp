// SPDX-License-Identifier: BSL-1.0
// control_group: where the limits of this process's control group (a container's) are.
#pragma once

#include <string>

namespace mp::os {

/// The path of this process in the unified hierarchy, below /sys/fs/cgroup: "/" or
/// "/a/b". Empty when there is none.
std::string control_group();

}  // namespace mp::os

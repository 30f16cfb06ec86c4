// SPDX-License-Identifier: BSL-1.0
#include "os/control_group.hpp"

#include <fstream>

namespace mp::os {

std::string control_group() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        // The line of the unified hierarchy: "0::/path".
        if (line.rfind("0::", 0) == 0) {
            return line.substr(3);
        }
    }
    return {};
}

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
// memory_of: how much memory segments without a name take: what their pages take, not
// how long they are.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

namespace test {

struct SegmentSizes {
    std::uint64_t memory = 0;
    std::uint64_t length = 0;
};

/// Of all segments of that name that this process has open, together.
inline SegmentSizes sizes_of(const std::string& name) {
    SegmentSizes sizes;
    std::set<ino_t> counted;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::string to = std::filesystem::read_symlink(entry.path(), gone);
        struct stat status {};
        if (to.starts_with("/memfd:" + name + " ") &&
            ::stat(entry.path().c_str(), &status) == 0 &&
            counted.insert(status.st_ino).second) {
            sizes.memory += static_cast<std::uint64_t>(status.st_blocks) * 512;
            sizes.length += static_cast<std::uint64_t>(status.st_size);
        }
    }
    return sizes;
}

inline std::uint64_t memory_of(const std::string& name) {
    return sizes_of(name).memory;
}

}  // namespace test

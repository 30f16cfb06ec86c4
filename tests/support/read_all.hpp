// SPDX-License-Identifier: BSL-1.0
// read_all(fd): what comes out of a descriptor until its end.
#pragma once

#include <unistd.h>

#include <array>
#include <string>

namespace test {

inline std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> part{};
    for (ssize_t n = 0; (n = ::read(fd, part.data(), part.size())) > 0;) {
        text.append(part.data(), static_cast<std::size_t>(n));
    }
    return text;
}

}  // namespace test

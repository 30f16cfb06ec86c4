// SPDX-License-Identifier: BSL-1.0
// LineReader: the lines of a descriptor, in bounded memory.
// Threads: one.  Owns: the descriptor, unless it is standard input.
#pragma once

#include "mp/fd.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace mpsum {

class LineReader {
public:
    /// No line of a checksum file is nearly as long; what is longer is cut here.
    static constexpr std::size_t longest_line = 64 * 1024;

    explicit LineReader(mp::UniqueFd fd);

    /// Reads standard input, and leaves it open.
    LineReader();

    /// The next line without its newline; nothing at the end. A last line without a
    /// newline counts.
    /// Throws: std::system_error when reading fails.
    std::optional<std::string> next();

private:
    static constexpr std::size_t buffer_size = 64 * 1024;

    bool refill();

    mp::UniqueFd owned_;
    int fd_;
    std::unique_ptr<char[]> buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace mpsum

// SPDX-License-Identifier: BSL-1.0
// source_lines: which lines of which files some code was compiled from, where the debug
// information of a module that is loaded here tells.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace futures::detail {

struct SourceLine {
    std::string symbol;  ///< the linker's name of the function; empty: not known
    std::string file;    ///< empty: not known
    int line = 0;
};

/// What stands at this offset of the module that has this build-id: the function, and
/// before it those that were inlined into it there, the innermost first. Empty where
/// nothing is known. The first call reads the tables of all modules, which takes long
/// and memory that is kept. Any thread, and a forked child.
std::vector<SourceLine>
source_lines_at(std::string_view build_id, std::uint64_t offset);

}  // namespace futures::detail

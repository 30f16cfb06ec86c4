// SPDX-License-Identifier: BSL-1.0
// Options: what the command line asks for.
// Threads: main, before anything else runs.
#pragma once

#include "console.hpp"
#include "format.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace mpsum {

struct Options {
    LineFormat format;
    unsigned jobs = 1;
    std::string start_method;             ///< empty: the library's default
    double timeout = 0;                   ///< seconds for each file; 0: for ever
    std::uint64_t memory_limit = 0;       ///< bytes for each worker's task; 0: none
    std::vector<std::string> checklists;  ///< not empty: check instead of hash
    ProgressMode progress = ProgressMode::automatic;
    std::vector<std::string> paths;
};

/// The options, or the status to leave with (after --help or a mistake; the text has
/// been written).
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace mpsum

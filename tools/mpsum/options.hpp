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
    bool in_ranks = false;                ///< of an MPI job
    unsigned jobs = 0;                    ///< as WorkerOptions::jobs
    std::string start_method;             ///< empty: the library's default
    double timeout = 0;                   ///< seconds for each file; 0: for ever
    std::uint64_t memory_limit = 0;       ///< bytes for each worker's task; 0: none
    std::vector<std::string> checklists;  ///< not empty: check instead of hash
    ProgressMode progress = ProgressMode::automatic;
    std::vector<std::string> paths;
};

/// What to write, and the status to leave with, after --help or a mistake.
struct Refusal {
    bool in_ranks = false;  ///< as in Options, as far as that can be told
    int status = 0;
    std::string out;  ///< for standard output
    std::string err;
};

std::variant<Options, Refusal> parse_options(int argc, char** argv);

/// Writes it. Returns the status, which is another one if that fails.
int tell(const Refusal& refusal);

}  // namespace mpsum

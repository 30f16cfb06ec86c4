// SPDX-License-Identifier: BSL-1.0
// How the machine's MPI starts a job, and what its environment has to say.
#pragma once

#include "support/program.hpp"
#include "support/temp_tree.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace test {

/// The words that start `program` with so many ranks. Each has its standard error; what
/// the launcher itself has to say of a status that is not 0 comes behind it.
std::vector<std::string> in_ranks(int ranks, const std::vector<std::string>& program);

/// For a job that runs in `tree`, and leaves the launcher's files there.
ProgramOptions in_job(const TempTree& tree);

/// Of the processes below the launcher: the one that was started as that rank.
std::optional<pid_t> pid_of_rank(pid_t launcher, int rank);

}  // namespace test

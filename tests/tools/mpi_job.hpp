// SPDX-License-Identifier: BSL-1.0
// How the machine's MPI starts a job, and what its environment has to say.
#pragma once

#include "tools/mpsum.hpp"

namespace tools_test {

/// The words that start `program` with so many ranks. Each has its standard error; what
/// the launcher itself has to say of a status that is not 0 comes behind it.
Words in_ranks(int ranks, Words program);

/// As in(), for a job.
ProgramOptions in_job(const TempTree& tree);

}  // namespace tools_test

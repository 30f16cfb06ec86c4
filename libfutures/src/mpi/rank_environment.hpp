// SPDX-License-Identifier: BSL-1.0
// rank_environment: what MPI's launcher has set for a rank, and worker processes of the
// rank must not have.
// Threads: any.
#pragma once

#include "mp/detail/environment.hpp"

#include <string>

namespace futures::detail {

/// Takes away what makes a process a rank: else one that initialises MPI by accident
/// would pass for this one.
mp::Environment without_mpi_variables();

/// Starts the process that forks the workers, if it does not run: it, and so they, may
/// use all processors that this process could be let run on, although launchers bind a
/// rank to one. Throws mp::SpawnError.
void start_fork_server();

/// How many processors that are.
int all_processors() noexcept;

/// "node7".
std::string host_name();

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// ranks: mpsum as an MPI job. Rank 0 does what mpsum does; the processes that hash are
// those of all other ranks.
// Threads: the main thread.
#pragma once

#include "workers.hpp"

#include <functional>
#include <memory>

namespace mpsum {

/// Calls `work` in rank 0 and returns its status; in the others it serves, and returns
/// 0. Where mpsum was built without MPI it says so and returns 2.
int run_in_ranks(int argc, char** argv, const std::function<int()>& work);

/// Within `work`. A rank's workers are processes of its own, so that one that dies is
/// no rank.
std::unique_ptr<Workers> rank_workers(const WorkerOptions& options);

}  // namespace mpsum

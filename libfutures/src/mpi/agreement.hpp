// SPDX-License-Identifier: BSL-1.0
// agreement: all ranks of a job must run the same program, because a call names code by
// its place there.
// Threads: any; collective.
#pragma once

#include "mpi/mpi_call.hpp"
#include "mpi/rank_info.hpp"

#include <string>
#include <vector>

namespace futures::detail {

struct Agreement {
    /// Who differs from the first rank, with host, path and build-id; empty: nobody.
    /// The same text in all ranks.
    std::string difference;
    bool have_one_root = true;    ///< all of them name the same
    std::vector<RankInfo> ranks;  ///< all of them, in their order
};

/// Collective. Throws MPIError.
Agreement agree(const OwnComm& comm, int root);

/// Waits for all ranks, looking now and then, and so costs no processor. Collective.
/// Throws MPIError.
void wait_for_all(const OwnComm& comm);

}  // namespace futures::detail

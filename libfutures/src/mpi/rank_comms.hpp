// SPDX-License-Identifier: BSL-1.0
// RankComms: the communicators of those who serve, made when the first task of an
// executor of fewer ranks asks.
// Threads: the rank's.
#pragma once

#include "mpi/mpi_call.hpp"
#include "mpi/served_comm.hpp"

#include <cstdint>
#include <map>

namespace futures::detail {

class RankComms final : public ServedComms {
public:
    /// `workers`: of all that serve; this rank is one of them.
    /// Throws MPIError.
    explicit RankComms(OwnComm workers);

    /// That of the first `members` of them, all of which call this, if they are not all
    /// that serve. Throws MPIError.
    MPI_Comm of(std::uint32_t members);

private:
    const OwnComm workers_;
    std::map<std::uint32_t, OwnComm> fewer_;
};

/// Of a job of one rank.
class SelfComms final : public ServedComms {};

}  // namespace futures::detail

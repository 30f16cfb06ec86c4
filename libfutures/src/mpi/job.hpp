// SPDX-License-Identifier: BSL-1.0
// Job: a communicator of our own whose ranks are one master and those who serve it,
// from the agreement on to the end.
// Threads: one, but for farm().
#pragma once

#include "mpi/agreement.hpp"
#include "mpi/farm.hpp"
#include "mpi/mpi_call.hpp"
#include "mpi/server.hpp"

#include <memory>
#include <thread>

namespace futures::detail {

class Job {
public:
    /// Collective. Throws mp::BinaryMismatch in all ranks, MPIError.
    Job(MPI_Comm comm, int root, const Server::Waiting& waiting);
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    /// At the master: as end().
    ~Job();

    bool is_master() const noexcept { return rank_ == root_; }

    const std::shared_ptr<Farm>& farm() const noexcept { return farm_; }

    /// Not at the master: serves until that has ended. Throws MPIError.
    void serve();

    /// At the master: waits for all executors, and tells those who serve. Throws
    /// MPIError.
    void end();

    /// All ranks, behind serve() and end(): waits for each other, unless some are lost.
    void wait_for_all() const;

private:
    void begin_local(const Server::Waiting& waiting, const RankInfo& info);

    OwnComm comm_;
    OwnComm workers_;
    const int root_;
    int rank_ = 0;
    const Server::Waiting waiting_;
    std::vector<RankInfo> ranks_;
    std::shared_ptr<Farm> farm_;
    std::thread local_;
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// MPICommExecutor: an executor over a communicator of a program that uses MPI itself.
// worker_comm: the communicator of the ranks that serve, for tasks that work together.
// Python:  mpi4py.futures.MPICommExecutor, mpi4py.futures.get_comm_workers.
// Differs: its life is the block: the constructor serves, or gives the executor.
// Threads: the executor any; the object itself one.
#pragma once

#ifndef OMPI_SKIP_MPICXX
/// MPI's C++ bindings, which only old MPIs have, would have to be linked.
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
/// The same.
#define MPICH_SKIP_MPICXX 1
#endif

#include "futures/mpi_pool.hpp"

#include <memory>
#include <mpi.h>

namespace futures {

namespace detail {

class Job;

}  // namespace detail

/// `MPICommExecutor executor(MPI_COMM_WORLD, 0); if (executor) { executor->submit(...);
/// }`: a collective call. At the root it is an executor, whose end the destructor waits
/// for. In all other ranks the constructor serves it, returns when the root's is
/// destroyed, and the object is empty.
class MPICommExecutor {
public:
    /// MPI is initialised, with MPI_THREAD_SERIALIZED at least: with that the root
    /// makes no MPI call of its own meanwhile. Throws in all ranks alike:
    /// std::invalid_argument for an inter-communicator, a root that is none of its
    /// ranks or not that of all, and a backoff that cannot be; mp::StateError where MPI
    /// is not initialised or has fewer threads, and at the root inside mpi::run();
    /// mp::BinaryMismatch where the ranks do not run the same program.
    explicit MPICommExecutor(
        MPI_Comm comm = MPI_COMM_WORLD, int root = 0, MPIPoolOptions options = {}
    );

    MPICommExecutor(const MPICommExecutor&) = delete;
    MPICommExecutor& operator=(const MPICommExecutor&) = delete;

    /// At the root: shuts the executor down, waits for its work, and lets the other
    /// ranks go.
    ~MPICommExecutor();

    /// Whether this is the root, so that there is an executor.
    explicit operator bool() const noexcept { return executor_ != nullptr; }

    /// The executor; null elsewhere.
    MPIPoolExecutor* get() const noexcept { return executor_.get(); }

    MPIPoolExecutor& operator*() const noexcept { return *executor_; }

    MPIPoolExecutor* operator->() const noexcept { return executor_.get(); }

private:
    std::unique_ptr<detail::Job> job_;
    std::unique_ptr<MPIPoolExecutor> executor_;
};

namespace mpi {

/// In a task, in a rank without isolation: the communicator of all ranks that serve the
/// task's executor, to be used by as many tasks at once, which `.credits = 1` lets run
/// in as many ranks. Where max_workers leaves ranks out, all of those that do not have
/// to call this, too, the first time. In a job of one rank, where a
/// thread of the master runs them, that is MPI_COMM_SELF. Throws mp::StateError
/// anywhere else.
MPI_Comm worker_comm();

}  // namespace mpi

using mpi::worker_comm;

}  // namespace futures

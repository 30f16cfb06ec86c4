// SPDX-License-Identifier: BSL-1.0
// MPIPoolOptions, MPIPoolStatistics: what an MPIPoolExecutor is told when it is made,
// and what it tells of itself.
// Python:  the arguments of mpi4py.futures.MPIPoolExecutor.
// Differs: credits and isolation are new. What says how processes are started
//          (python_exe, path, wdir, env) is not there: MPI's own launcher starts them.
// Threads: any; they are values.
#pragma once

#include "futures/executor.hpp"
#include "mp/call.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace futures {

namespace mpi {

/// Where a rank runs the program's code.
enum class Isolation : std::uint8_t {
    /// In the rank itself, in its main thread. A crash ends the whole job.
    none,
    /// In worker processes of the rank's, those of a ProcessPoolExecutor: a crash, or a
    /// limit of time, ends one of these, and with it the task that it ran.
    process,
};

}  // namespace mpi

using mpi::Isolation;

struct MPIPoolOptions {
    /// Most ranks to use; without it the variable LIBMP_MPI_MAX_WORKERS, and without
    /// that all but the master. At least 1. There are never more than the job has.
    std::optional<Count> max_workers = {};
    /// Called in each rank before its first task, or with Isolation::process in each of
    /// its workers: mp::call(connect, "db"). If it throws, the executor is broken; the
    /// ranks are not, and serve the next one. What it sets in a rank stays there.
    mp::Call initializer = {};
    /// How many tasks a rank may have that it has not answered, the ones that run
    /// included; 1 to 1000. Without it 1; where tasks are short 2, so that it need not
    /// wait for the next one; and up to 16 small ones where they take less time than a
    /// message. With Isolation::process that is so for each of its workers.
    std::optional<Count> credits = {};
    /// How long the master, while tasks are under way, sleeps at most before it looks
    /// for messages again: MPI has nothing to wait on. More than 0. For ranks that
    /// serve it is mpi::RunOptions', but for those of an MPICommExecutor this. Not
    /// mp::forever.
    mp::Timeout backoff = std::chrono::milliseconds(1);
    /// How long it looks without sleeping after something has come.
    mp::Timeout spin = std::chrono::microseconds(100);
    /// Where the ranks run the tasks.
    Isolation isolation = Isolation::none;
    /// With Isolation::process: how many workers each rank has. Without it, the
    /// processors of its machine divided by the job's ranks there; at least 1.
    std::optional<Count> workers_per_rank = {};
    /// submit() waits while so many tasks wait to be sent; 0: it never does. In a
    /// callback of one of the executor's own futures it does not wait either.
    Count max_pending = 0;
};

/// What the master knows of a rank that serves an executor.
struct MPIRankStatistics {
    int rank = 0;               ///< in the job, or in MPICommExecutor's communicator
    std::string host;           ///< where it runs
    pid_t pid = 0;              ///< its process there
    std::uint64_t tasks = 0;    ///< that it has answered
    std::uint64_t running = 0;  ///< that it has now, or that are on their way
    std::chrono::nanoseconds busy{};  ///< spent in tasks, as it told
};

struct MPIPoolStatistics {
    std::size_t workers = 0;           ///< as num_workers()
    std::uint64_t submitted = 0;       ///< tasks
    std::uint64_t concluded = 0;       ///< of these, done or cancelled
    std::uint64_t pending = 0;         ///< of these, not sent
    std::uint64_t retried = 0;         ///< how often a task was run again
    std::uint64_t tasks_lost = 0;      ///< WorkerLost and TaskTimeout, retried or not
    std::uint64_t bytes_sent = 0;      ///< of calls
    std::uint64_t bytes_received = 0;  ///< of results
    std::vector<MPIRankStatistics> ranks;  ///< in the order of their ranks
};

}  // namespace futures

// SPDX-License-Identifier: BSL-1.0
// MPIPoolExecutor: calls run by the ranks of an MPI job. mpi::run: the main of a
// program whose rank 0 submits and whose other ranks serve.
// Python:  mpi4py.futures.MPIPoolExecutor; `python -m mpi4py.futures`.
// Differs: every rank runs the same program, so nothing is imported or registered; a
//          job of another program is refused. Ranks are never spawned: they are those
//          that mpirun, srun or their like have started; with one rank a thread runs
//          the tasks. cancel() is exact until a task is sent. With Isolation::process
//          a crash, a limit of time and `kill -9` are exceptions of one task.
// Threads: any.  Processes: in a forked child it is an empty shell: submit() throws.
// Owns:    nothing of the job: ranks serve until mpi::run() ends.
// Read next: docs/concepts/mpi.md, libfutures/src/mpi/README.md
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "futures/detail/remote_executor.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/mpi_options.hpp"
#include "futures/submit_options.hpp"
#include "futures/then.hpp"
#include "futures/when.hpp"

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace futures {

/// An MPI call failed, and why as MPI says it.
struct MPIError : std::runtime_error {
    /// For the library: which call, and its error code.
    MPIError(const std::string& what, int code)
        : std::runtime_error(what), code_(code) {}

    /// MPI's own code.
    int code() const noexcept { return code_; }

private:
    int code_;
};

/// An executor's initializer failed, or the job's messages cannot be sent any more.
struct BrokenMPIPool : BrokenExecutor {
    using BrokenExecutor::BrokenExecutor;
};

class MPIPoolExecutor;
class MPICommExecutor;

namespace detail {

class Farm;
class MPIPool;

template <>
class WeakExecutor<MPIPoolExecutor>
    : public WeakPoolExecutor<MPIPoolExecutor, RemotePool> {
public:
    using WeakPoolExecutor::WeakPoolExecutor;
};

}  // namespace detail

/// submit() and map() are detail::RemoteExecutor's. Executors share the ranks, which
/// take tasks of each in turn. Without isolation SubmitOptions::timeout, kill_after
/// and limits are std::invalid_argument, because nobody could end the task.
class MPIPoolExecutor : public detail::RemoteExecutor<MPIPoolExecutor> {
public:
    /// Sends nothing yet. Throws std::invalid_argument for options that cannot be;
    /// mp::StateError outside of mpi::run() and MPICommExecutor, and while the program
    /// exits.
    explicit MPIPoolExecutor(MPIPoolOptions options = {});
    explicit MPIPoolExecutor(Count max_workers);

    MPIPoolExecutor(const MPIPoolExecutor&) = delete;
    MPIPoolExecutor& operator=(const MPIPoolExecutor&) = delete;
    /// The work, and what map() still has to submit, goes on with the new one. The old
    /// one has no work and takes none: submit() and map() throw mp::StateError.
    MPIPoolExecutor(MPIPoolExecutor&&) noexcept = default;
    MPIPoolExecutor& operator=(MPIPoolExecutor&&) noexcept = default;

    /// Waits for all work, as shutdown() does. In a callback of one of its own futures
    /// it does not wait.
    ~MPIPoolExecutor() = default;

    /// Refuses new work. What was submitted is still done, or cancelled if it has not
    /// been sent and the options say so. Waits until the work is done, unless the
    /// options say no, or this is a callback of one of its futures. May be called
    /// again, by any thread. The ranks go on to serve others.
    void shutdown(ShutdownOptions options = {});

    /// Runs the initializer in all ranks now, and makes their worker processes with
    /// Isolation::process. Waits until that is done, unless `wait` is false. Called
    /// again it has nothing to do. Throws mp::StateError after shutdown(), and, as it
    /// waits, BrokenMPIPool when an initializer fails.
    void bootup(bool wait = true);

    /// How many ranks serve it; 1 in a job of one rank, where a thread does. 0 after
    /// shutdown(), and when it is broken. Never throws.
    std::size_t num_workers() const noexcept;

    /// What it has done so far, and what each rank has.
    MPIPoolStatistics statistics() const;

private:
    friend class MPICommExecutor;
    template <class E, class Pool>
    friend class detail::WeakPoolExecutor;

    MPIPoolExecutor(std::shared_ptr<detail::Farm> farm, MPIPoolOptions options);

    /// Uses the pool and does not end it.
    MPIPoolExecutor(detail::Borrowed, std::shared_ptr<detail::RemotePool> pool) noexcept
        : RemoteExecutor(std::move(pool), true) {}

    detail::MPIPool& pool() const;
};

namespace mpi {

using futures::BrokenMPIPool;
using futures::MPICommExecutor;
using futures::MPIError;
using futures::MPIPoolExecutor;
using futures::MPIPoolOptions;
using futures::MPIPoolStatistics;
using futures::MPIRankStatistics;

struct RunOptions {
    /// Starts the process that forks the workers of Isolation::process before MPI is
    /// initialised: some networks do not bear a fork later. It takes some milliseconds
    /// in each rank. Without it, the first executor with isolation starts it.
    bool fork_server = true;
    /// How long a rank that serves sleeps at most before it looks for messages again;
    /// the executors' is the master's.
    mp::Timeout backoff = std::chrono::milliseconds(1);
    /// How long such a rank looks without sleeping after something has come.
    mp::Timeout spin = std::chrono::microseconds(100);
};

/// A rank's main, called by all ranks: `int main(int argc, char** argv) { return
/// futures::mpi::run(argc, argv, user_main); }`. Initialises MPI, if that has not been
/// done. In rank 0 it calls `user_main(argc, argv)`, or `user_main()`; what that
/// returns, 0 for nothing, is the exit code. The other ranks serve until then, and
/// return 0. Before the first task all ranks compare their programs: one that runs
/// another build is named with its host and path, and the job ends. An exception that
/// leaves `user_main` is printed, and ends the job with code 1. A rank that dies takes
/// the job with it, as MPI does; mpirun returns 128 and the signal.
/// A child that `user_main` forks, and that returns from it, ends there.
/// May be called once in a process. Throws mp::StateError otherwise, and where MPI
/// offers less than MPI_THREAD_SERIALIZED; std::invalid_argument for a backoff of 0 or
/// less, and mp::forever.
int run(
    int argc,
    char** argv,
    const std::function<int(int, char**)>& user_main,
    const RunOptions& options = {}
);

/// The same for the other shapes of main.
template <class Main>
    requires(!std::convertible_to<Main, std::function<int(int, char**)>> || std::is_void_v<std::invoke_result_t<Main&, int, char**>>)
int run(int argc, char** argv, Main&& user_main, const RunOptions& options = {}) {
    return run(
        argc,
        argv,
        std::function<int(int, char**)>([&](int count, char** words) -> int {
            const auto call = [&]() -> decltype(auto) {
                if constexpr (std::invocable<Main&, int, char**>) {
                    return user_main(count, words);
                } else {
                    return user_main();
                }
            };
            if constexpr (std::is_void_v<decltype(call())>) {
                call();
                return 0;
            } else {
                return static_cast<int>(call());
            }
        }),
        options
    );
}

}  // namespace mpi
}  // namespace futures

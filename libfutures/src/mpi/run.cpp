// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"
#include "mp/spawn.hpp"
#include "mp/thread_safety.hpp"

#include "mpi/current_job.hpp"
#include "mpi/job.hpp"
#include "mpi/mpi_pool_core.hpp"
#include "mpi/rank_environment.hpp"
#include "util/exit_function.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace futures {

namespace detail {

namespace {

constexpr int failed = 1;

void check_threads() {
    int level = MPI_THREAD_SINGLE;
    mpi_check(MPI_Query_thread(&level), "MPI_Query_thread");
    if (level < MPI_THREAD_SERIALIZED) {
        throw mp::StateError(
            "this MPI was initialised with fewer threads than MPI_THREAD_SERIALIZED, "
            "which the executors need"
        );
    }
}

/// MPI, from here on until it is finalized, if it was not initialised before.
class MpiLife {
public:
    MpiLife(int& argc, char**& argv) : is_ours_(!mpi_is_initialized()) {
        if (mpi_is_finalized()) {
            throw mp::StateError("MPI has been finalized, and cannot be begun again");
        }
        if (is_ours_) {
            int level = MPI_THREAD_SINGLE;
            mpi_check(
                MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level),
                "MPI_Init_thread"
            );
        }
        check_threads();
    }

    MpiLife(const MpiLife&) = delete;
    MpiLife& operator=(const MpiLife&) = delete;
    ~MpiLife() = default;

    void end() {
        if (is_ours_ && !mpi_is_finalized()) {
            mpi_check(MPI_Finalize(), "MPI_Finalize");
        }
    }

private:
    const bool is_ours_;
};

/// The job of mpi::run(), which also ends where the program calls exit().
class RunningJob {
public:
    RunningJob(int& argc, char**& argv, const mpi::RunOptions& options)
        : mpi_(argc, argv),
          job_(
              std::in_place,
              MPI_COMM_WORLD,
              0,
              Server::Waiting{.spin = options.spin, .backoff = options.backoff}
          ) {}

    RunningJob(const RunningJob&) = delete;
    RunningJob& operator=(const RunningJob&) = delete;
    ~RunningJob() = default;

    Job& job() noexcept { return *job_; }

    /// Whether this is the process that began it, and no child of it.
    bool is_here() const noexcept { return creator_.is_here(); }

    bool may_end_here() const noexcept {
        return !job_ || !job_->farm() || job_->farm()->may_wait_here();
    }

    /// Collective. Throws MPIError.
    void end() {
        const mp::detail::MutexLock lock(ending_);  // exit() in another thread
        if (!job_) {
            return;
        }
        if (job_->is_master()) {
            job_->end();
            set_farm_of_run(nullptr);
        }
        job_->wait_for_all();
        job_.reset();
        mpi_.end();
    }

private:
    const mp::detail::Creator creator_;
    mp::detail::Mutex ending_;
    MpiLife mpi_;
    std::optional<Job> job_;
};

/// exit() in the program's part of rank 0: the ranks are let go, as at the end of
/// run().
void end_at_exit(const std::weak_ptr<RunningJob>& watched) {
    const auto running = watched.lock();
    if (!running || !running->may_end_here()) {
        return;  // in a callback or a task: what ends the process ends the job
    }
    try {
        running->end();
    } catch (const std::exception& error) {
        abort_job(std::string("the MPI job cannot end: ") + error.what());
    }
}

int run_master(
    RunningJob& running,
    int argc,
    char** argv,
    const std::function<int(int, char**)>& user_main
) {
    set_farm_of_run(running.job().farm());
    try {
        return user_main(argc, argv);
    } catch (const mp::SystemExit& exit) {
        if (!exit.text().empty()) {
            std::fputs((exit.text() + "\n").c_str(), stderr);
        }
        return exit.code();
    } catch (...) {
        const std::string why =
            "an exception left the main function of an MPI job: " +
            mp::detail::describe_exception(std::current_exception());
        if (running.is_here()) {
            abort_job(why);
        }
        std::fputs((why + "\n").c_str(), stderr);
        return failed;
    }
}

/// The program's part was left by a child that it has forked, which has no ranks.
[[noreturn]] void end_child(int code) {
    std::fflush(nullptr);
    std::_Exit(code);
}

/// The process that serves, in a rank that does.
std::atomic<pid_t> serving{0};

/// A task has called exit(). Not every launcher ends the job then, above all with 0.
void abort_at_exit(int code, void* /*unused*/) {
    if (serving.exchange(0) == ::getpid()) {
        std::fflush(stdout);
        MPI_Abort(MPI_COMM_WORLD, code == 0 ? failed : code);
    }
}

std::atomic<bool> has_run{false};

}  // namespace

}  // namespace detail

int mpi::run(
    int argc,
    char** argv,
    const std::function<int(int, char**)>& user_main,
    const RunOptions& options
) {
    // A child that is started by this library leaves here.
    mp::freeze_support(argc, argv);
    if (detail::has_run.exchange(true)) {
        throw mp::StateError("futures::mpi::run() can be called once in a process");
    }
    detail::check_backoff(options.backoff);
    if (options.fork_server && !detail::mpi_is_initialized()) {
        detail::start_fork_server();
    }
    std::shared_ptr<detail::RunningJob> life;
    try {
        life = std::make_shared<detail::RunningJob>(argc, argv, options);
    } catch (const mp::BinaryMismatch& error) {
        int rank = 0;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        if (rank == 0) {
            detail::abort_job(error.what());
        }
        // The first rank says so, and ends the job.
        MPI_Barrier(MPI_COMM_WORLD);
        detail::abort_job(error.what());
    }
    int code = 0;
    try {
        if (life->job().is_master()) {
            const int part = mp::detail::add_exit_part(
                mp::detail::ExitPhase::executors,
                [watched = std::weak_ptr(life)] { detail::end_at_exit(watched); }
            );
            mp::detail::ensure_exit_step();
            code = detail::run_master(*life, argc, argv, user_main);
            if (!life->is_here()) {
                detail::end_child(code);
            }
            life->end();
            mp::detail::drop_exit_part(part);
        } else {
            detail::serving =
                ::on_exit(detail::abort_at_exit, nullptr) == 0 ? ::getpid() : 0;
            life->job().serve();
            detail::serving = 0;
            life->end();
        }
    } catch (const std::exception& error) {
        detail::abort_job(std::string("the MPI job cannot go on: ") + error.what());
    }
    return code;
}

}  // namespace futures

// SPDX-License-Identifier: BSL-1.0
// ProcessPoolExecutor: calls run by worker processes.
// Python:  concurrent.futures.ProcessPoolExecutor
// Differs: calls and results are checked when compiling. Submitted calls can be
//          cancelled until a worker takes them, however many are queued. A result that
//          cannot be decoded, or a task that cannot, fails its own future only.
//          `on_worker_loss` can save the rest when a worker dies. ~ProcessPoolExecutor
//          is shutdown(wait=True).
// Threads: any.  Processes: in a forked child it is an empty shell: submit() throws.
// Owns:    its workers, which end with it or with this process, however that ends; one
//          manager thread, with capture_output one more; shared memory without a name.
// Read next: libfutures/src/process_pool/process_pool_core.hpp,
//          docs/concepts/process_pool.md, docs/protocols/board.md
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "futures/detail/remote_executor.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/process_pool_options.hpp"
#include "futures/submit_options.hpp"
#include "futures/then.hpp"
#include "futures/when.hpp"
#include "mp/worker_local.hpp"

#include <sys/types.h>

#include <memory>
#include <utility>
#include <vector>

namespace futures {

class ProcessPoolExecutor;

namespace detail {

class ProcessPool;

template <>
class WeakExecutor<ProcessPoolExecutor>
    : public WeakPoolExecutor<ProcessPoolExecutor, RemotePool> {
public:
    using WeakPoolExecutor::WeakPoolExecutor;
};

}  // namespace detail

/// submit() and map() are detail::RemoteExecutor's. Under fork the first call starts
/// all workers; otherwise a worker is started when there is more work than workers.
class ProcessPoolExecutor : public detail::RemoteExecutor<ProcessPoolExecutor> {
public:
    /// Starts nothing yet. Throws std::invalid_argument for less than one worker or
    /// task, for more than 512 workers, for max_tasks_per_child with fork, for a limit
    /// that is no more than 0, a nice value or processors that do not exist;
    /// mp::StateError while the program exits; mp::ResourceLimitExceeded.
    explicit ProcessPoolExecutor(ProcessPoolOptions options = {});
    explicit ProcessPoolExecutor(Count max_workers);

    ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
    ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
    /// The work, and what map() still has to submit, goes on with the new one. The old
    /// one has no work and takes none: submit() and map() throw mp::StateError.
    ProcessPoolExecutor(ProcessPoolExecutor&&) noexcept = default;
    ProcessPoolExecutor& operator=(ProcessPoolExecutor&&) noexcept = default;

    /// Waits for all work, as shutdown() does. In a callback of one of its own futures
    /// it does not wait.
    ~ProcessPoolExecutor() = default;

    /// Refuses new work. What was submitted is still done, or cancelled if no worker
    /// has taken it and the options say so. Waits until the workers have ended, unless
    /// the options say no, or this is a callback of one of its futures. May be called
    /// again, by any thread.
    void shutdown(ShutdownOptions options = {});

    /// Ends all at once: SIGTERM to the workers, and to what their tasks have started,
    /// see kill_descendants. What is not done raises
    /// BrokenProcessPool. Does not wait for the workers to end.
    void terminate_workers();

    /// The same with SIGKILL.
    void kill_workers();

    /// So many workers at most from now on, 512 at the utmost. Returns at once: more
    /// are started when there is work for them; of fewer, idle ones end first, the
    /// others once they have done their task. Throws std::invalid_argument;
    /// mp::StateError after shutdown(); BrokenProcessPool; mp::ResourceLimitExceeded
    /// where RLIMIT_AS or RLIMIT_FSIZE left room for fewer when the pool was made.
    void resize(Count max_workers);

    /// Starts all workers, as many as max_workers, and returns when they are ready: the
    /// initializer has run in each. A start that failed before is tried again. Throws
    /// as submit(), and what a failed start throws; mp::StateError in a callback of one
    /// of its futures, which would wait for itself.
    void bootup();

    /// Revives a broken pool: waits until its old workers have ended, then new work is
    /// accepted. What was pending has failed already. Does nothing when the pool is not
    /// broken. Any thread may call it, a callback of one of its futures too. Throws
    /// mp::StateError after shutdown(), or in another process than the one that made
    /// the pool; what the first submit() throws where workers cannot be started: then
    /// the pool is as broken as before.
    void reset();

    /// The process ids of the workers there are now.
    std::vector<pid_t> workers() const;

    /// What the pool has done so far.
    ProcessPoolStatistics statistics() const;

private:
    template <class E, class Pool>
    friend class detail::WeakPoolExecutor;

    /// Uses the pool and does not end it.
    ProcessPoolExecutor(
        detail::Borrowed, std::shared_ptr<detail::RemotePool> pool
    ) noexcept
        : RemoteExecutor(std::move(pool), true) {}

    detail::ProcessPool& pool() const;
};

}  // namespace futures

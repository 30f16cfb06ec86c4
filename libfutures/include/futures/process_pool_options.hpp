// SPDX-License-Identifier: BSL-1.0
// ProcessPoolOptions, ProcessPoolStatistics: what a ProcessPoolExecutor is told when it
// is made, and what it tells of itself.
// Python:  the arguments of concurrent.futures.ProcessPoolExecutor.
// Differs: has what other pools have, too; initargs are among what mp::call() holds.
// Threads: any; they are values.
#pragma once

#include "futures/affinity.hpp"
#include "futures/executor.hpp"
#include "futures/limits.hpp"
#include "futures/shared_objects.hpp"
#include "mp/call.hpp"
#include "mp/context.hpp"
#include "mp/detail/environment.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace futures {

/// What becomes of a pool when one of its workers dies without being asked to.
enum class OnWorkerLoss : std::uint8_t {
    /// Python's way: every future that is not done raises BrokenProcessPool, the other
    /// workers are terminated, submit() throws.
    break_pool,
    /// Only the task that ran in it raises WorkerLost; a new worker takes its place.
    isolate,
    /// As isolate, but that task is run again, as often as its options say, twice
    /// without: only for tasks that may run twice.
    retry,
};

/// How many workers a pool may lose within how long, and go on. Counted are those that
/// die without being asked to, whatever they ran; not those that were killed because
/// their task's time was up, nor those that ended before their first task, which have a
/// limit of their own.
struct MaxLosses {
    /// So many are borne; one more is too many.
    Count count = PTRDIFF_MAX;
    /// Older ones are forgotten.
    mp::Timeout within = mp::forever;
};

struct ProcessPoolOptions {
    /// Most workers to have. Without it, mp::usable_cpu_count(); in a worker of a pool
    /// the half of it, in one of that pool's workers a third, and so on: a tree of
    /// pools shares the processors. At least 1.
    std::optional<Count> max_workers = {};
    /// How workers are started. Without it the default of the program; spawn if
    /// max_tasks_per_child is set.
    std::optional<mp::Context> mp_context = {};
    /// Called in each worker before its first task: mp::call(connect, "db"). If it
    /// throws, the pool is broken. What processes share may be among its arguments.
    mp::Call initializer = {};
    /// Called in each worker that ends in order, behind its last task: mp::call(close).
    /// Not in one that is killed or crashes. What it throws is logged, and harms
    /// nobody. Behind it the worker's objects of mp::worker_local() are destroyed.
    mp::Call finalizer = {};
    /// How long a worker may take from its start to the end of the initializer; the
    /// process itself, that it runs at all, five seconds at least. One that takes
    /// longer is killed, and the pool is broken. More than 0.
    mp::Timeout initializer_timeout = mp::forever;
    /// How long the finalizer may take, and the destruction of the worker's objects. A
    /// worker that takes longer is killed, which is logged. More than 0.
    mp::Timeout finalizer_timeout = mp::forever;
    /// A worker ends after so many tasks and is replaced. Not with fork.
    std::optional<Count> max_tasks_per_child = {};
    /// A worker that has more bytes in memory than this after a task ends in order, and
    /// is replaced: for what leaks. Looked at between tasks; what a single task takes
    /// is up to `limits`. More than 0.
    std::optional<std::uint64_t> max_memory_per_child = {};
    /// A worker that has had no task for so long ends in order; the pool grows again
    /// when there is work. More than 0.
    mp::Timeout idle_timeout = mp::forever;
    /// So many workers idle_timeout leaves; at most max_workers.
    Count min_workers = 0;
    /// What a worker's death does to the rest.
    OnWorkerLoss on_worker_loss = OnWorkerLoss::break_pool;
    /// Where that is not break_pool: beyond it the pool breaks all the same, and the
    /// text tells of the last losses. Without it there is no limit.
    MaxLosses max_losses = {};
    /// How much of the machine each task may use that does not say it itself.
    Limits limits = {};
    /// SubmitOptions::timeout of each task that has none, and of each item of a map().
    /// A task that may run longer says how long. More than 0.
    mp::Timeout task_timeout = mp::forever;
    /// SubmitOptions::grace of the tasks whose timeout is `task_timeout`.
    mp::Timeout task_grace = std::chrono::seconds(0);
    /// Variables that the workers get, or, with std::nullopt, do not get:
    /// `{{"OMP_NUM_THREADS", "1"}}`. Under spawn they are there before the program's
    /// own static initialisers run, otherwise before the initializer. OMP_NUM_THREADS
    /// and its like, which say how many threads a numerical library starts, are set to
    /// each worker's share of the processors, unless they stand here or in this
    /// process's environment.
    mp::Environment environment = {};
    /// Where the workers run; where this process does if empty. If it cannot be entered
    /// no worker starts, and the pool is broken.
    std::string working_directory = {};
    /// The nice value of the workers, from -20 to 19; this process's without it. If
    /// they cannot have it, as a negative one without the right to it, the pool is
    /// broken.
    std::optional<int> nice = {};
    /// On which processors they run: `futures::Affinity::one_cpu_each`, `{0, 1}`.
    Affinity affinity = {};
    /// A worker that is killed, by a time limit or by terminate_workers() and
    /// kill_workers(), or because the pool breaks, takes along all processes that its
    /// tasks have started, and theirs, daemons too. With SIGTERM they have half a
    /// second more than the worker. For that each worker is a subreaper: what a task
    /// leaves behind becomes the worker's child, which a wait for any child in a task
    /// meets, and the worker reaps daemons that have ended. A worker that ends in
    /// order, or crashes, takes none along.
    bool kill_descendants = true;
    /// Workers are called prefix_0, prefix_1 ...; without it, as other processes.
    std::string worker_name_prefix = {};
    /// What processes share and tasks are to get as arguments: `.shared = {queue,
    /// lock}`. The arguments of the initializer need not be named again.
    SharedObjects shared = {};
    /// How much free memory for large arguments and results the pool keeps, all workers
    /// together, when it has had nothing to do for three quarters of a second. What is
    /// above this goes back to the system.
    std::uint64_t trim_threshold = std::uint64_t{16} << 20U;
    /// The stdout and stderr of workers are pipes to this process, which passes on what
    /// comes to its own; the last 4 KiB of each are in the report of a worker that
    /// dies. Lines of one worker keep their order; those of stdout and stderr, and what
    /// this process prints itself, may overtake each other. A process that a task
    /// leaves behind has nowhere to print once the pool has ended.
    bool capture_output = false;
    /// Workers have handlers for the signals of crashes, which write down where the
    /// crash was; a task may set its own in their place. Without: the handlers and the
    /// terminate handler that a new process has, and a report without a stack.
    bool capture_crashes = true;
    /// So many workers are added at most while others wait in tasks that have submitted
    /// tasks of their own, see this_pool(); they end when nobody waits any more. Beyond
    /// that the task which waits runs what it waits for itself. Where on_worker_loss is
    /// break_pool it does so at once: nothing is lost by it there. Without it, as many
    /// as max_workers.
    std::optional<Count> max_blocked = {};
    /// Pools may be made in tasks of pools, so many inside each other, this one
    /// counted; one more throws mp::StateError. At least 1.
    Count max_depth = 10;
};

struct ProcessPoolStatistics {
    std::size_t max_workers = 0;  ///< processes that there may be
    std::size_t workers = 0;      ///< processes there are now
    std::uint64_t workers_started =
        0;                           ///< since the pool was made, replacements included
    std::uint64_t workers_lost = 0;  ///< ended without being asked to
    std::uint64_t workers_retired =
        0;  ///< ended in order, while the pool goes on: had done their share
    std::uint64_t finalizers_run = 0;  ///< to their end, those that threw too
    std::uint64_t submitted = 0;       ///< tasks
    std::uint64_t concluded = 0;       ///< of these, done or cancelled
    /// Of these, the ones that ended with their worker and were not cancelled:
    /// WorkerLost, TaskTimeout, mp::ResourceLimitExceeded.
    std::uint64_t tasks_lost = 0;
    std::uint64_t tasks_given_back =
        0;  ///< claimed by a worker that died, run by another
};

}  // namespace futures

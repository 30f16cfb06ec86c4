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
//          manager thread; shared memory without a name.
// Read next: libfutures/src/process_pool/process_pool_core.hpp,
//          docs/concepts/process_pool.md, docs/protocols/board.md
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "futures/detail/chunk.hpp"
#include "futures/detail/map_check.hpp"
#include "futures/detail/overloaded_name.hpp"
#include "futures/detail/process_task.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/shared_objects.hpp"
#include "futures/submit_options.hpp"
#include "mp/call.hpp"
#include "mp/context.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
    /// Most workers to have. Without it, mp::usable_cpu_count().
    std::optional<Count> max_workers = {};
    /// How workers are started. Without it the default of the program; spawn if
    /// max_tasks_per_child is set.
    std::optional<mp::Context> mp_context = {};
    /// Called in each worker before its first task: mp::call(connect, "db"). If it
    /// throws, the pool is broken. What processes share may be among its arguments.
    mp::Call initializer = {};
    /// A worker ends after so many tasks and is replaced. Not with fork.
    std::optional<Count> max_tasks_per_child = {};
    /// What a worker's death does to the rest.
    OnWorkerLoss on_worker_loss = OnWorkerLoss::break_pool;
    /// Where that is not break_pool: beyond it the pool breaks all the same, and the
    /// text tells of the last losses. Without it there is no limit.
    MaxLosses max_losses = {};
    /// Workers are called prefix_0, prefix_1 ...; without it, as other processes.
    std::string worker_name_prefix = {};
    /// What processes share and tasks are to get as arguments: `.shared = {queue,
    /// lock}`. The arguments of the initializer need not be named again.
    SharedObjects shared = {};
    /// How much free memory for large arguments and results the pool keeps, all workers
    /// together, when it has had nothing to do for three quarters of a second. What is
    /// above this goes back to the system.
    std::uint64_t trim_threshold = std::uint64_t{16} << 20U;
};

struct ProcessPoolStatistics {
    std::size_t max_workers = 0;  ///< processes that there may be
    std::size_t workers = 0;      ///< processes there are now
    std::uint64_t workers_started =
        0;                           ///< since the pool was made, replacements included
    std::uint64_t workers_lost = 0;  ///< ended without being asked to
    std::uint64_t submitted = 0;     ///< tasks
    std::uint64_t concluded = 0;     ///< of these, done or cancelled
    std::uint64_t tasks_lost = 0;    ///< of these, WorkerLost or TaskTimeout
    std::uint64_t tasks_given_back =
        0;  ///< claimed by a worker that died, run by another
};

class ProcessPoolExecutor;

namespace detail {

template <>
class WeakExecutor<ProcessPoolExecutor>
    : public WeakPoolExecutor<ProcessPoolExecutor, ProcessPool> {
public:
    using WeakPoolExecutor::WeakPoolExecutor;
};

}  // namespace detail

class ProcessPoolExecutor : public MapsLists<ProcessPoolExecutor>,
                            detail::SubmitOfName<SubmitOptions>,
                            detail::MapOfName<MapOptions> {
public:
    /// Starts nothing yet. Throws std::invalid_argument for less than one worker or
    /// task, for more than 512 workers, for max_tasks_per_child with fork;
    /// mp::StateError while the program exits; mp::ResourceLimitExceeded.
    explicit ProcessPoolExecutor(ProcessPoolOptions options = {});
    explicit ProcessPoolExecutor(Count max_workers);

    ProcessPoolExecutor(const ProcessPoolExecutor&) = delete;
    ProcessPoolExecutor& operator=(const ProcessPoolExecutor&) = delete;
    /// The work, and what map() still has to submit, goes on with the new one. The old
    /// one has no work and takes none: submit() and map() throw mp::StateError.
    ProcessPoolExecutor(ProcessPoolExecutor&&) noexcept = default;
    ProcessPoolExecutor& operator=(ProcessPoolExecutor&& other) noexcept;

    /// Waits for all work, as shutdown() does. In a callback of one of its own futures
    /// it does not wait.
    ~ProcessPoolExecutor();

    /// Calls `fn(args...)` in a worker. Under fork the first call starts all workers;
    /// otherwise a worker is started when there is more work than workers. Never waits
    /// for a worker. An argument whose serialisation throws fails the future:
    /// SerializationError{encode_task}, with what was thrown as its cause.
    /// Throws: mp::StateError after shutdown(), in another process than the one that
    /// made the pool, or while the program exits; BrokenProcessPool.
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, SubmitOptions>)
    auto submit(Fn&& fn, Args&&... args) {
        using Call = mp::detail::CallTraits<const Fn&, Args...>;
        if constexpr (mp::detail::accepts<Call::refusal_with_result, Fn, Args...>()) {
            return submit(
                SubmitOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
            );
        } else {
            return Future<typename Call::Result>();
        }
    }

    /// `pool.submit({.timeout = 2s, .retries = 1}, fetch, url)`
    template <class Fn, class... Args>
    auto submit(SubmitOptions options, Fn&& fn, Args&&... args) {
        using Call = mp::detail::CallTraits<const Fn&, Args...>;
        using R = typename Call::Result;
        if constexpr (mp::detail::accepts<Call::refusal_with_result, Fn, Args...>()) {
            return submit_task<R, detail::ReadResult<R>>(
                options,
                detail::TaskName::of(fn),
                [&](mp::detail::ByteWriter& out) {
                    mp::detail::encode_call(out, fn, std::forward<Args>(args)...);
                }
            );
        } else {
            return Future<R>();
        }
    }

    using detail::SubmitOfName<SubmitOptions>::submit;

    /// Calls `fn` for the items of the ranges, side by side, until the shortest ends;
    /// `for (int x : pool.map(fn, inputs))` gives the results in order. Everything is
    /// submitted at the call, unless a buffersize is set.
    template <class Fn, class... Ranges>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        using Check = detail::MapCheck<mp::detail::CallTraits, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal_with_result, Fn, Ranges...>(
                      )) {
            return map(
                MapOptions(), std::forward<Fn>(fn), std::forward<Ranges>(ranges)...
            );
        } else {
            return MapResults<typename Check::Result>();
        }
    }

    /// A chunksize above 1 makes long inputs of short calls much faster: so many items
    /// travel in one task.
    template <class Fn, class... Ranges>
    auto map(const MapOptions& options, Fn&& fn, Ranges&&... ranges) {
        using Check = detail::MapCheck<mp::detail::CallTraits, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal_with_result, Fn, Ranges...>(
                      )) {
            return detail::map_chunks(
                *this, options, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...
            );
        } else {
            return MapResults<typename Check::Result>();
        }
    }

    using detail::MapOfName<MapOptions>::map;

    /// For map(): one task that calls `fn` for each item.
    template <class Fn, class Item>
    auto submit_chunk(
        const Fn& fn, std::vector<Item> items, const SubmitOptions& options = {}
    ) {
        using R = typename detail::ChunkTraits<Fn, Item>::Result;
        return submit_task<std::vector<detail::ItemOutcome<R>>, detail::ReadChunk<R>>(
            options,
            detail::TaskName::of(fn),
            [&](mp::detail::ByteWriter& out) {
                detail::encode_chunk(out, fn, items, options);
            }
        );
    }

    using MapsLists::map;

    /// Refuses new work. What was submitted is still done, or cancelled if no worker
    /// has taken it and the options say so. Waits until the workers have ended, unless
    /// the options say no, or this is a callback of one of its futures. May be called
    /// again, by any thread.
    void shutdown(ShutdownOptions options = {});

    /// Ends all at once: SIGTERM to the workers. What is not done raises
    /// BrokenProcessPool. Does not wait for the workers to end.
    void terminate_workers();

    /// The same with SIGKILL.
    void kill_workers();

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
        detail::Borrowed, std::shared_ptr<detail::ProcessPool> pool
    ) noexcept
        : pool_(std::move(pool)), borrowed_(true) {}

    template <class R, class Read, class Encode>
    Future<R>
    submit_task(SubmitOptions options, detail::TaskName name, Encode&& encode) {
        check_accepting();
        auto* const task = new detail::ProcessTask<R, Read>(pool_, name);
        Future<R> future{detail::StatePtr<detail::State<R>>(task)};
        task->retries = options.retries;
        task->time_limit = options.timeout;
        task->priority = options.priority;
        detail::CallStore store(*pool_);
        mp::detail::ByteWriter call(store);
        try {
            const detail::GivenToPool given(*pool_);
            encode(call);
        } catch (...) {
            fail_unsent(*task);
            return future;
        }
        try {
            if (options.retry_on || !options.retry_delay.is_zero()) {
                task->plan_retries(options);
            }
            if (call.in_store()) {
                task->message.adopt(store.take(call.size()));
                call.reset();
            }
            submit_call(*task, call.data());
        } catch (...) {
            task->drop_reference();  // the pool's
            throw;
        }
        return future;
    }

    void check_accepting() const;
    void submit_call(detail::PoolTask& task, std::span<const std::byte> call);
    /// Fails the future with the exception that is being handled.
    static void fail_unsent(detail::PoolTask& task) noexcept;
    void close() noexcept;

    std::shared_ptr<detail::ProcessPool> pool_;
    bool borrowed_ = false;
};

}  // namespace futures

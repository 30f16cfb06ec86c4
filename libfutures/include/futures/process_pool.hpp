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

#include "futures/detail/chunk.hpp"
#include "futures/detail/limited_call.hpp"
#include "futures/detail/map_check.hpp"
#include "futures/detail/overloaded_name.hpp"
#include "futures/detail/process_gate.hpp"
#include "futures/detail/process_task.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/process_pool_options.hpp"
#include "futures/submit_options.hpp"
#include "futures/then.hpp"
#include "futures/when.hpp"
#include "mp/call.hpp"
#include "mp/worker_local.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace futures {

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
    ProcessPoolExecutor& operator=(ProcessPoolExecutor&& other) noexcept;

    /// Waits for all work, as shutdown() does. In a callback of one of its own futures
    /// it does not wait.
    ~ProcessPoolExecutor();

    /// Calls `fn(args...)` in a worker. Under fork the first call starts all workers;
    /// otherwise a worker is started when there is more work than workers. Never waits
    /// for a worker. An argument whose serialisation throws fails the future:
    /// SerializationError{encode_task}, with what was thrown as its cause. For a
    /// Future<T> among the arguments, of any executor of this program, the call gets
    /// the value, and is not sent before it is there (see SubmitOptions::after); until
    /// then the other arguments are kept as the parameters' types. Throws:
    /// std::invalid_argument for options that cannot be; mp::StateError after
    /// shutdown(), in another process than the one that made the pool, or while the
    /// program exits; BrokenProcessPool.
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, SubmitOptions>)
    auto submit(Fn&& fn, Args&&... args) {
        if constexpr ((detail::FutureArgument<Args> || ...)) {
            return submit(
                SubmitOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
            );
        } else {
            using Call = mp::detail::CallTraits<const Fn&, Args...>;
            constexpr auto why = Call::refusal_with_result;
            if constexpr (mp::detail::accepts<why, Fn, Args...>()) {
                return submit(
                    SubmitOptions(), std::forward<Fn>(fn), std::forward<Args>(args)...
                );
            } else {
                return Future<typename Call::Result>();
            }
        }
    }

    /// `pool.submit({.timeout = 2s, .retries = 1}, fetch, url)`
    template <class Fn, class... Args>
    auto submit(SubmitOptions options, Fn&& fn, Args&&... args) {
        if constexpr ((detail::FutureArgument<Args> || ...)) {
            using Futures =
                detail::FutureArguments<detail::FuturesTravel::no, const Fn&, Args...>;
            if constexpr (mp::detail::accepts<Futures::refusal, Fn, Args...>()) {
                using Call = typename Futures::template Call<mp::detail::CallTraits>;
                using R = typename Call::Result;
                constexpr auto why = Call::refusal_with_result;
                if constexpr (mp::detail::accepts<why, Fn, Args...>()) {
                    return submit_deferred<Futures, R>(
                        typename Call::Stored(),
                        std::index_sequence_for<Args...>(),
                        options,
                        std::forward<Fn>(fn),
                        std::forward<Args>(args)...
                    );
                } else {
                    return Future<R>();
                }
            } else {
                return mp::detail::Refused();
            }
        } else {
            using Call = mp::detail::CallTraits<const Fn&, Args...>;
            using R = typename Call::Result;
            constexpr auto why = Call::refusal_with_result;
            if constexpr (mp::detail::accepts<why, Fn, Args...>()) {
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
    }

    using detail::SubmitOfName<SubmitOptions>::submit;

    /// Calls `fn` for the items of the ranges, side by side, until the shortest ends;
    /// `for (int x : pool.map(fn, inputs))` gives the results in order. Everything is
    /// submitted at the call, unless a buffersize is set.
    template <class Fn, class... Ranges>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        using Check = detail::
            MapCheck<mp::detail::CallTraits, detail::FuturesTravel::no, Fn, Ranges...>;
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
    /// travel in one task. For items that are futures the calls get the values, each
    /// when it is there; they travel one by one.
    template <class Fn, class... Ranges>
    auto map(const MapOptions& options, Fn&& fn, Ranges&&... ranges) {
        using Check = detail::
            MapCheck<mp::detail::CallTraits, detail::FuturesTravel::no, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal_with_result, Fn, Ranges...>(
                      )) {
            if constexpr (detail::
                              awaits_items<detail::FuturesTravel::no, Fn, Ranges...>(
                              )) {
                return detail::map_items(
                    *this,
                    with_task_timeout(options),
                    std::forward<Fn>(fn),
                    std::forward<Ranges>(ranges)...
                );
            } else {
                return detail::map_chunks(
                    *this,
                    with_task_timeout(options),
                    std::forward<Fn>(fn),
                    std::forward<Ranges>(ranges)...
                );
            }
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
        SubmitOptions own = options;
        return submit_task<std::vector<detail::ItemOutcome<R>>, detail::ReadChunk<R>>(
            own,
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
        detail::Borrowed, std::shared_ptr<detail::ProcessPool> pool
    ) noexcept
        : pool_(std::move(pool)), borrowed_(true) {}

    template <class R, class Read, class Encode>
    Future<R>
    submit_task(SubmitOptions& options, detail::TaskName name, Encode&& encode) {
        check_accepting(options);
        const bool waits = !options.after.empty();
        auto gate = waits ? new_gate(options) : no_gate();
        auto* const task = new_task<R, Read>(name, options, gate);
        Future<R> future{detail::StatePtr<detail::State<R>>(task)};
        detail::CallStore store(*pool_);
        mp::detail::ByteWriter call(store);
        try {
            const detail::GivenToPool given(*pool_);
            if (task->limits) [[unlikely]] {
                detail::begin_limited_call(call, *task->limits);
            }
            encode(call);
            if (task->has_trailer) {
                detail::write_trailer(call, *task->control);
            }
        } catch (...) {
            if (waits) {
                gate->abandon();
            }
            fail_unsent(*task);
            return future;
        }
        try {
            if (call.in_store()) {
                task->message.adopt(store.take(call.size()));
                call.reset();
            }
            if (waits) {
                if (!task->message.block()) {
                    task->message.assign(call.data());
                }
                gate->lead_to(*task);
                gate->add_after(options.after);
                await(*gate);
            } else {
                // A chunk's items come one by one.
                submit_call(*task, call.data(), std::same_as<Read, detail::ReadResult<R>>);
            }
        } catch (...) {
            if (waits) {
                gate->abandon();
            }
            task->drop_reference();  // the pool's
            throw;
        }
        if (waits) {
            gate->watch();
        }
        return future;
    }

    /// A task whose arguments are still to come.
    template <
        class Futures,
        class R,
        class... Stored,
        std::size_t... i,
        class Fn,
        class... Args>
    Future<R> submit_deferred(
        mp::detail::TypeList<Stored...>,
        std::index_sequence<i...>,
        SubmitOptions& options,
        Fn&& fn,
        Args&&... args
    ) {
        static_assert(
            ((Futures::template awaits<i> || std::is_constructible_v<Stored, Args>)&&...
            ),
            "beside a future, an argument that cannot be copied has to be given away: "
            "std::move(x)"
        );
        using Deferred = detail::DeferredCall<
            std::decay_t<Fn>,
            decltype(detail::kept_argument<Futures::template awaits<i>, Stored>(
                0, std::declval<Args>()
            ))...>;
        check_accepting(options);
        const std::tuple handles{
            detail::handle_of<Futures::template awaits<i>>(std::forward<Args>(args)
            )...};
        (detail::base_of(std::get<i>(handles)), ...);
        const auto name = detail::TaskName::of(fn);
        const detail::DependenciesPtr<detail::ProcessGate> gate(new Deferred(
            pool_,
            Futures::count + options.after.size(),
            std::forward<Fn>(fn),
            detail::kept_argument<Futures::template awaits<i>, Stored>(
                Futures::template number<i>, std::forward<Args>(args)
            )...
        ));
        auto* const task = new_task<R, detail::ReadResult<R>>(name, options, gate);
        Future<R> future{detail::StatePtr<detail::State<R>>(task)};
        gate->lead_to(*task);
        (detail::add_handle(*gate, std::get<i>(handles)), ...);
        gate->add_after(options.after);
        try {
            await(*gate);
        } catch (...) {
            gate->abandon();
            task->drop_reference();  // the pool's
            throw;
        }
        gate->watch();
        return future;
    }

    using Gate = detail::DependenciesPtr<detail::ProcessGate>;

    Gate new_gate(const SubmitOptions& options) const {
        return Gate(new detail::ProcessGate(pool_, options.after.size()));
    }

    static Gate no_gate() noexcept { return Gate(nullptr); }

    template <class R, class Read>
    detail::ProcessTask<R, Read>*
    new_task(detail::TaskName name, SubmitOptions& options, const Gate& gate) {
        detail::TaskOptions kept(options);
        detail::ProcessTask<R, Read>* task = nullptr;
        if (gate.get() == nullptr) {
            task = new detail::ProcessTask<R, Read>(pool_, name);
        } else {
            auto* const waiting = new detail::WaitingProcessTask<R, Read>(pool_, name);
            waiting->wait_at(gate);
            task = waiting;
        }
        task->take(std::move(kept));
        return task;
    }

    void check_accepting() const;
    /// Of a task, which gets what the pool says where its options say nothing.
    void check_accepting(SubmitOptions& options) const;
    MapOptions with_task_timeout(MapOptions options) const;
    /// One that is to fit its limit of memory, and does not, has a failed future then.
    void submit_call(
        detail::PoolTask& task, std::span<const std::byte> call, bool is_to_fit
    );
    void await(detail::WaitingTask& task);
    /// Fails the future with the exception that is being handled.
    static void fail_unsent(detail::PoolTask& task) noexcept;
    static void fail(detail::PoolTask& task) noexcept;
    void close() noexcept;

    std::shared_ptr<detail::ProcessPool> pool_;
    bool borrowed_ = false;
};

}  // namespace futures

// SPDX-License-Identifier: BSL-1.0
// RemoteExecutor: submit() and map() of an executor whose workers are other processes.
// Python:  concurrent.futures.Executor, as ProcessPoolExecutor has it.
// Differs: calls and results are checked when compiling.
// Threads: any.
#pragma once

#include "futures/detail/chunk.hpp"
#include "futures/detail/limited_call.hpp"
#include "futures/detail/map_check.hpp"
#include "futures/detail/overloaded_name.hpp"
#include "futures/detail/process_gate.hpp"
#include "futures/detail/process_task.hpp"
#include "futures/detail/remote_pool.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "mp/call.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace futures::detail {

/// The part that does not depend on what is called. It holds the pool, and ends it when
/// it goes, unless it has only borrowed it.
class RemoteExecutorBase {
public:
    RemoteExecutorBase(const RemoteExecutorBase&) = delete;
    RemoteExecutorBase& operator=(const RemoteExecutorBase&) = delete;

protected:
    explicit RemoteExecutorBase(
        std::shared_ptr<RemotePool> pool, bool borrowed
    ) noexcept
        : pool_(std::move(pool)), borrowed_(borrowed) {}

    RemoteExecutorBase(RemoteExecutorBase&&) noexcept = default;
    RemoteExecutorBase& operator=(RemoteExecutorBase&& other) noexcept;
    ~RemoteExecutorBase();

    /// Throws what submit() is to throw.
    void check_accepting() const;
    /// Of a task, which gets what the pool says where its options say nothing.
    void check_accepting(SubmitOptions& options) const;
    MapOptions with_task_timeout(MapOptions options) const;
    /// Fails the future with the exception that is being handled.
    static void fail_unsent(PoolTask& task) noexcept;
    void close() noexcept;

    std::shared_ptr<RemotePool> pool_;
    bool borrowed_ = false;
};

/// `Self` is the executor.
template <class Self>
class RemoteExecutor : public RemoteExecutorBase,
                       public MapsLists<Self>,
                       SubmitOfName<SubmitOptions>,
                       MapOfName<MapOptions> {
public:
    /// Calls `fn(args...)` in a worker. Never waits for a worker. An argument whose
    /// serialisation throws fails the future: SerializationError{encode_task}, with
    /// what was thrown as its cause. For a
    /// Future<T> among the arguments, of any executor of this program, the call gets
    /// the value, and is not sent before it is there (see SubmitOptions::after); until
    /// then the other arguments are kept as the parameters' types. Throws:
    /// std::invalid_argument for options that cannot be; mp::StateError after
    /// shutdown(), in another process than the one that made the pool, or while the
    /// program exits; BrokenExecutor.
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, SubmitOptions>)
    auto submit(Fn&& fn, Args&&... args) {
        if constexpr ((FutureArgument<Args> || ...)) {
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
        if constexpr ((FutureArgument<Args> || ...)) {
            using Futures = FutureArguments<FuturesTravel::no, const Fn&, Args...>;
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
                return submit_task<R, ReadResult<R>>(
                    options,
                    TaskName::of(fn),
                    [&](mp::detail::ByteWriter& out) {
                        mp::detail::encode_call(out, fn, std::forward<Args>(args)...);
                    }
                );
            } else {
                return Future<R>();
            }
        }
    }

    using SubmitOfName<SubmitOptions>::submit;

    /// Calls `fn` for the items of the ranges, side by side, until the shortest ends;
    /// `for (int x : pool.map(fn, inputs))` gives the results in order. Everything is
    /// submitted at the call, unless a buffersize is set.
    template <class Fn, class... Ranges>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        using Check =
            MapCheck<mp::detail::CallTraits, FuturesTravel::no, Fn, Ranges...>;
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
        using Check =
            MapCheck<mp::detail::CallTraits, FuturesTravel::no, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal_with_result, Fn, Ranges...>(
                      )) {
            if constexpr (awaits_items<FuturesTravel::no, Fn, Ranges...>()) {
                return map_items(
                    self(),
                    with_task_timeout(options),
                    std::forward<Fn>(fn),
                    std::forward<Ranges>(ranges)...
                );
            } else {
                return map_chunks(
                    self(),
                    with_task_timeout(options),
                    std::forward<Fn>(fn),
                    std::forward<Ranges>(ranges)...
                );
            }
        } else {
            return MapResults<typename Check::Result>();
        }
    }

    using MapOfName<MapOptions>::map;

    /// For map(): one task that calls `fn` for each item.
    template <class Fn, class Item>
    auto submit_chunk(
        const Fn& fn, std::vector<Item> items, const SubmitOptions& options = {}
    ) {
        using R = typename ChunkTraits<Fn, Item>::Result;
        SubmitOptions own = options;
        return submit_task<std::vector<ItemOutcome<R>>, ReadChunk<R>>(
            own,
            TaskName::of(fn),
            [&](mp::detail::ByteWriter& out) { encode_chunk(out, fn, items, options); }
        );
    }

    using MapsLists<Self>::map;

protected:
    explicit RemoteExecutor(
        std::shared_ptr<RemotePool> pool, bool borrowed = false
    ) noexcept
        : RemoteExecutorBase(std::move(pool), borrowed) {}

    RemoteExecutor(RemoteExecutor&&) noexcept = default;
    RemoteExecutor& operator=(RemoteExecutor&&) noexcept = default;
    ~RemoteExecutor() = default;

private:
    template <class E, class Pool>
    friend class WeakPoolExecutor;

    Self& self() noexcept { return static_cast<Self&>(*this); }

    template <class R, class Read, class Encode>
    Future<R> submit_task(SubmitOptions& options, TaskName name, Encode&& encode) {
        check_accepting(options);
        const bool waits = !options.after.empty();
        auto gate = waits ? new_gate(options) : no_gate();
        auto* const task = new_task<R, Read>(name, options, gate);
        Future<R> future{StatePtr<State<R>>(task)};
        CallStore store(*pool_);
        mp::detail::ByteWriter call(store);
        try {
            const GivenToPool given(*pool_);
            if (task->limits) [[unlikely]] {
                begin_limited_call(call, *task->limits);
            }
            encode(call);
            if (task->has_trailer) {
                write_trailer(call, *task->control);
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
                pool_->await(*gate);
            } else {
                // A chunk's items come one by one.
                pool_
                    ->submit_call(*task, call.data(), !std::same_as<Read, ReadResult<R>>);
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
        using Deferred = DeferredCall<
            std::decay_t<Fn>,
            decltype(kept_argument<Futures::template awaits<i>, Stored>(
                0, std::declval<Args>()
            ))...>;
        check_accepting(options);
        const std::tuple handles{
            handle_of<Futures::template awaits<i>>(std::forward<Args>(args))...};
        (base_of(std::get<i>(handles)), ...);
        const auto name = TaskName::of(fn);
        const DependenciesPtr<ProcessGate> gate(new Deferred(
            pool_,
            Futures::count + options.after.size(),
            std::forward<Fn>(fn),
            kept_argument<Futures::template awaits<i>, Stored>(
                Futures::template number<i>, std::forward<Args>(args)
            )...
        ));
        auto* const task = new_task<R, ReadResult<R>>(name, options, gate);
        Future<R> future{StatePtr<State<R>>(task)};
        gate->lead_to(*task);
        (add_handle(*gate, std::get<i>(handles)), ...);
        gate->add_after(options.after);
        try {
            pool_->await(*gate);
        } catch (...) {
            gate->abandon();
            task->drop_reference();  // the pool's
            throw;
        }
        gate->watch();
        return future;
    }

    using Gate = DependenciesPtr<ProcessGate>;

    Gate new_gate(const SubmitOptions& options) const {
        return Gate(new ProcessGate(pool_, options.after.size()));
    }

    static Gate no_gate() noexcept { return Gate(nullptr); }

    template <class R, class Read>
    ProcessTask<R, Read>*
    new_task(TaskName name, SubmitOptions& options, const Gate& gate) {
        TaskOptions kept(options);
        ProcessTask<R, Read>* task = nullptr;
        if (gate.get() == nullptr) {
            task = new ProcessTask<R, Read>(pool_, name);
        } else {
            auto* const waiting = new WaitingProcessTask<R, Read>(pool_, name);
            waiting->wait_at(gate);
            task = waiting;
        }
        task->take(std::move(kept));
        return task;
    }
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// this_pool(): in a task of a process pool, the pool that runs it.
// Python:  none; worker_client() of Dask, and Ray, whose tasks submit tasks.
// Differs: nothing to differ from.
// Threads: the one in which the pool called the task.
// Processes: the calls go to the process that has the pool, as ordinary tasks.
// Read next: docs/concepts/deadlocks.md, docs/protocols/nested_submission.md
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "futures/detail/chunk.hpp"
#include "futures/detail/map_check.hpp"
#include "futures/detail/nested_call.hpp"
#include "futures/detail/overloaded_name.hpp"
#include "futures/detail/pool_link.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "futures/wait.hpp"
#include "mp/call.hpp"
#include "mp/detail/carried.hpp"

#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

namespace futures {

/// What a task can ask of the pool that runs it. Holds nothing: it may be kept and
/// copied, and is for any task of a process pool.
class ThisPool : public MapsLists<ThisPool>,
                 detail::SubmitOfName<SubmitOptions>,
                 detail::MapOfName<MapOptions> {
public:
    /// As ProcessPoolExecutor::submit(): calls `fn(args...)` in a worker. The call is
    /// an ordinary task of the pool, but that it has the priority of the task that
    /// submits it, unless it says one of its own, and is cancelled with that task,
    /// unless it is detached. A task that ends by itself leaves its calls to go on.
    /// While a task waits for its future (result(), wait(), as_completed(), the results
    /// of map()), its worker counts as blocked: the pool can start another one, which
    /// begins with this call, or the call is run on the stack of the task that waits.
    /// Works also after the pool's shutdown(), as long as tasks run. Throws
    /// mp::StateError outside of tasks of process pools, std::invalid_argument for
    /// options that cannot be: of these, SubmitOptions::after is one, and Future<T> are
    /// no arguments; both are for ProcessPoolExecutor only.
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, SubmitOptions>)
    auto submit(Fn&& fn, Args&&... args) {
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

    /// `futures::this_pool().submit({.timeout = 2s, .detached = true}, fetch, url)`
    template <class Fn, class... Args>
    auto submit(SubmitOptions options, Fn&& fn, Args&&... args) {
        using Call = mp::detail::CallTraits<const Fn&, Args...>;
        using R = typename Call::Result;
        constexpr auto why = Call::refusal_with_result;
        if constexpr (mp::detail::accepts<why, Fn, Args...>()) {
            return submit_call<R, detail::ReadResult<R>>(
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

    /// As ProcessPoolExecutor::map().
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

    /// The same with options.
    template <class Fn, class... Ranges>
    auto map(const MapOptions& options, Fn&& fn, Ranges&&... ranges) {
        static_assert(
            !detail::awaits_items<detail::FuturesTravel::no, Fn, Ranges...>(),
            "map() in a task takes no futures for its items: only "
            "ProcessPoolExecutor::map() waits for them"
        );
        using Check = detail::
            MapCheck<mp::detail::CallTraits, detail::FuturesTravel::no, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal_with_result, Fn, Ranges...>(
                      )) {
            return detail::map_chunks(
                *this,
                detail::map_options_of_nested(options),
                std::forward<Fn>(fn),
                std::forward<Ranges>(ranges)...
            );
        } else {
            return MapResults<typename Check::Result>();
        }
    }

    using detail::MapOfName<MapOptions>::map;
    using MapsLists::map;

    /// For map(): one task that calls `fn` for each item.
    template <class Fn, class Item>
    auto submit_chunk(
        const Fn& fn, std::vector<Item> items, const SubmitOptions& options = {}
    ) {
        using R = typename detail::ChunkTraits<Fn, Item>::Result;
        return submit_call<std::vector<detail::ItemOutcome<R>>, detail::ReadChunk<R>>(
            options,
            detail::TaskName::of(fn),
            [&](mp::detail::ByteWriter& out) {
                detail::encode_chunk(out, fn, items, options);
            }
        );
    }

    /// futures::wait(), for any futures.
    template <class Range, class... Args>
    auto wait(Range&& fs, Args&&... args) {
        return futures::wait(std::forward<Range>(fs), std::forward<Args>(args)...);
    }

    /// The same for a list: `wait({f, g})`.
    template <class T, class... Args>
    auto wait(std::initializer_list<Future<T>> fs, Args&&... args) {
        return futures::wait(fs, std::forward<Args>(args)...);
    }

private:
    friend ThisPool this_pool();

    ThisPool() = default;

    template <class R, class Read, class Encode>
    static Future<R> submit_call(
        const SubmitOptions& options, const detail::TaskName& name, Encode&& encode
    ) {
        detail::PoolLink& link = detail::this_pool_link();
        detail::check_options_of_nested(options);
        auto* const call = new detail::NestedCall<R, Read>(link);
        Future<R> future{detail::StatePtr<detail::State<R>>(call)};
        mp::detail::ByteWriter out;
        try {
            const mp::detail::GivenScope given(
                link.given(),
                " is an argument of a task only where the pool was given it before: "
                "name it in ProcessPoolOptions, .shared = {queue, lock}, or as an "
                "argument of the pool's initializer"
            );
            encode(out);
            detail::check_length(link, out.size());
        } catch (...) {
            detail::fail_unsent(*call, name);
            return future;
        }
        try {
            link.submit(*call, options, name, out.data());
        } catch (...) {
            call->drop_reference();  // the link's
            throw;
        }
        return future;
    }
};

namespace detail {

/// The pool of a task is there as long as the task.
template <>
class WeakExecutor<ThisPool> {
public:
    explicit WeakExecutor(const ThisPool& pool) noexcept : pool_(pool) {}

    ThisPool lock() const noexcept { return pool_; }

private:
    ThisPool pool_;
};

}  // namespace detail

/// In a task of a process pool, in the thread that the pool called it in: that pool.
/// Throws mp::StateError anywhere else: in other threads and processes, tasks of thread
/// pools, initializers, callbacks; std::system_error when no thread can be had for the
/// link to the pool.
ThisPool this_pool();

}  // namespace futures

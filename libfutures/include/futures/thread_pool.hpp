// SPDX-License-Identifier: BSL-1.0
// ThreadPoolExecutor: calls run by a few threads of this process.
// Python:  concurrent.futures.ThreadPoolExecutor
// Differs: ~ThreadPoolExecutor is shutdown(wait=True). initargs are what the
//          initializer captures. A cancelled call lets go of what it captured at once.
// Threads: any.  Processes: in a forked child it is an empty shell: submit() throws.
// Owns:    its threads; they end when it is shut down, or before the program exits.
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "futures/detail/map_check.hpp"
#include "futures/detail/overloaded_name.hpp"
#include "futures/detail/retried_task.hpp"
#include "futures/detail/thread_gate.hpp"
#include "futures/detail/thread_task.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "futures/then.hpp"
#include "futures/when.hpp"
#include "mp/detail/local_call.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures {

struct ThreadPoolOptions {
    /// Most threads to have; they are made when there is work. Without it,
    /// min(32, mp::usable_cpu_count() + 4). While all of them wait for futures there
    /// are more.
    std::optional<Count> max_workers = {};
    /// Threads are called prefix_0, prefix_1 ...; the system shows 15 characters of it.
    /// Without it, "ThreadPoolExecutor-K" with a K of this executor's own.
    std::string thread_name_prefix = {};
    /// Called in each thread before its first task. If it throws, the executor is
    /// broken: see BrokenThreadPool.
    std::function<void()> initializer = {};
    /// Called in each thread after its last task, if its initializer has returned; not
    /// in one that a task ends by pthread_exit(). What it throws is logged.
    std::function<void()> finalizer = {};
};

struct ThreadPoolStatistics {
    std::size_t threads = 0;      ///< there are, those that were added for waits, too
    std::size_t sleeping = 0;     ///< of these, waiting for work for a while
    std::uint64_t submitted = 0;  ///< tasks accepted so far
    std::uint64_t begun = 0;      ///< of these, taken by a thread, or dropped
};

class ThreadPoolExecutor;

namespace detail {

class ThreadPool;

template <>
class WeakExecutor<ThreadPoolExecutor>
    : public WeakPoolExecutor<ThreadPoolExecutor, ThreadPool> {
public:
    using WeakPoolExecutor::WeakPoolExecutor;
};

}  // namespace detail

class ThreadPoolExecutor : public MapsLists<ThreadPoolExecutor>,
                           detail::SubmitOfName<SubmitOptions>,
                           detail::MapOfName<MapOptions> {
public:
    /// Throws std::invalid_argument for less than one worker, mp::StateError while the
    /// program exits.
    explicit ThreadPoolExecutor(ThreadPoolOptions options = {});
    explicit ThreadPoolExecutor(Count max_workers);

    ThreadPoolExecutor(const ThreadPoolExecutor&) = delete;
    ThreadPoolExecutor& operator=(const ThreadPoolExecutor&) = delete;
    /// The work, and what map() still has to submit, goes on with the new one. The old
    /// one has no work and takes none: submit() and map() throw mp::StateError.
    ThreadPoolExecutor(ThreadPoolExecutor&&) noexcept = default;
    ThreadPoolExecutor& operator=(ThreadPoolExecutor&& other) noexcept;

    /// Waits for all work, as shutdown() does. In a task of its own it does not wait:
    /// the work goes on, and the program does not exit before it is done.
    ~ThreadPoolExecutor();

    /// Calls `fn(args...)` in one of the threads, with copies, or what was moved in.
    /// For a Future<T> among the arguments it gets the value, and begins when that is
    /// there (see SubmitOptions::after); if its parameter is a future, the future
    /// itself, at once. Never blocks. Throws: mp::StateError after shutdown() or while
    /// the program exits, BrokenThreadPool when an initializer failed. A task may wait
    /// for others of the same executor: its thread runs the one it waits for if no
    /// thread has begun it, and while all threads wait there is one more for what is
    /// queued. Waits in a cycle end with DeadlockError (docs/concepts/deadlocks.md).
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, SubmitOptions>)
    auto submit(Fn&& fn, Args&&... args) {
        if constexpr ((detail::FutureArgument<Args> || ...)) {
            SubmitOptions options;
            return submit_with<false>(
                options, std::forward<Fn>(fn), std::forward<Args>(args)...
            );
        } else {
            using Check = mp::detail::LocalCall<Fn, Args...>;
            using R = typename Check::Result;
            if constexpr (mp::detail::accepts<Check::refusal, Fn, Args...>()) {
                return submit_now<R>(
                    nullptr, std::forward<Fn>(fn), std::forward<Args>(args)...
                );
            } else {
                return Future<R>();
            }
        }
    }

    /// The same with options. A task whose .timeout has passed is asked to stop
    /// (this_task()), and no more: until its call returns the future is running. If it
    /// ends by check_cancelled(), the future raises TaskTimeout; if it returns a value
    /// all the same, the future has that. Throws std::invalid_argument, too, for an
    /// option that a thread cannot have, and for a call with `.retry_on` that cannot be
    /// made several times: then it is called as an lvalue, with its arguments as
    /// lvalues. A call that waits for its `.retry_delay` is in no thread: others run.
    template <class Fn, class... Args>
    auto submit(SubmitOptions options, Fn&& fn, Args&&... args) {
        detail::check_options_of_thread(options);
        return submit_with<true>(
            options, std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    }

    using detail::SubmitOfName<SubmitOptions>::submit;

    /// Calls `fn` for the items of the ranges, side by side, until the shortest ends;
    /// `for (int x : threads.map(fn, inputs))` gives the results in order. Everything
    /// is submitted at the call, unless a buffersize is set. `fn` is copied for each
    /// item. For an item that is a future it gets the value, as with submit().
    template <class Fn, class... Ranges>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        using Check = detail::
            MapCheck<mp::detail::LocalCall, detail::FuturesTravel::yes, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal, Fn, Ranges...>()) {
            return detail::map_items(
                *this,
                MapOptions(),
                std::forward<Fn>(fn),
                std::forward<Ranges>(ranges)...
            );
        } else {
            return MapResults<typename Check::Result>();
        }
    }

    template <class Fn, class... Ranges>
    auto map(const MapOptions& options, Fn&& fn, Ranges&&... ranges) {
        using Check = detail::
            MapCheck<mp::detail::LocalCall, detail::FuturesTravel::yes, Fn, Ranges...>;
        if constexpr (mp::detail::accepts<Check::refusal, Fn, Ranges...>()) {
            return detail::map_items(
                *this, options, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...
            );
        } else {
            return MapResults<typename Check::Result>();
        }
    }

    using MapsLists::map;
    using detail::MapOfName<MapOptions>::map;

    /// Refuses new work. What was submitted is still done, or cancelled if it has not
    /// begun and the options say so. Waits until the threads have ended, unless the
    /// options say no. May be called again. Throws mp::StateError when a task of this
    /// executor would wait for itself.
    void shutdown(ShutdownOptions options = {});

    /// What the pool has done so far.
    ThreadPoolStatistics statistics() const;

private:
    template <class E, class Pool>
    friend class detail::WeakPoolExecutor;

    /// Uses the pool and does not end it.
    ThreadPoolExecutor(
        detail::Borrowed, std::shared_ptr<detail::ThreadPool> pool
    ) noexcept
        : pool_(std::move(pool)), borrowed_(true) {}

    static bool is_retried(const SubmitOptions& options) noexcept {
        return options.retries > 0 && options.retry_on;
    }

    /// `retried`: the options may say that it is.
    template <bool retried, class Fn, class... Args>
    auto submit_with(SubmitOptions& options, Fn&& fn, Args&&... args) {
        using Futures =
            detail::FutureArguments<detail::FuturesTravel::yes, Fn, Args...>;
        if constexpr (!Futures::any) {
            using Check = mp::detail::LocalCall<Fn, Args...>;
            using R = typename Check::Result;
            if constexpr (!mp::detail::accepts<Check::refusal, Fn, Args...>()) {
                return Future<R>();
            } else if (!options.after.empty()) {
                return submit_waiting<retried, Futures, R>(
                    std::index_sequence_for<Args...>(),
                    options,
                    std::forward<Fn>(fn),
                    std::forward<Args>(args)...
                );
            } else if (is_retried(options)) {
                return submit_task(
                    &options,
                    detail::new_retried_task<R>(
                        options, std::forward<Fn>(fn), std::forward<Args>(args)...
                    )
                );
            } else {
                return submit_now<R>(
                    &options, std::forward<Fn>(fn), std::forward<Args>(args)...
                );
            }
        } else if constexpr (mp::detail::accepts<Futures::refusal, Fn, Args...>()) {
            using Check = typename Futures::template Call<mp::detail::LocalCall>;
            using R = typename Check::Result;
            if constexpr (mp::detail::accepts<Check::refusal, Fn, Args...>()) {
                return submit_waiting<retried, Futures, R>(
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
    }

    template <class R, class Fn, class... Args>
    Future<R> submit_now(SubmitOptions* options, Fn&& fn, Args&&... args) {
        if constexpr (sizeof...(Args) == 0) {
            return submit_task(
                options,
                new detail::ThreadTask<R, std::decay_t<Fn>>(std::forward<Fn>(fn))
            );
        } else {
            using Call = detail::BoundCall<std::decay_t<Fn>, std::decay_t<Args>...>;
            return submit_task(
                options,
                new detail::ThreadTask<R, Call>(
                    std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...
                )
            );
        }
    }

    /// A task that waits for futures, of which some are arguments.
    template <
        bool retried,
        class Futures,
        class R,
        std::size_t... i,
        class Fn,
        class... Args>
    Future<R> submit_waiting(
        std::index_sequence<i...>, SubmitOptions& options, Fn&& fn, Args&&... args
    ) {
        using Call = detail::WaitingCall<
            std::decay_t<Fn>,
            decltype(detail::kept_argument<
                     Futures::template awaits<i>,
                     std::decay_t<Args>>(0, std::declval<Args>()))...>;
        const std::tuple handles{
            detail::handle_of<Futures::template awaits<i>>(std::forward<Args>(args)
            )...};
        static_cast<void>((detail::base_of(std::get<i>(handles)), ...));
        detail::DependenciesPtr<detail::ThreadGate> gate(
            new detail::ThreadGate(pool_, Futures::count + options.after.size())
        );
        if constexpr (retried) {
            if (is_retried(options)) {
                if constexpr (detail::is_repeatable<
                                  R,
                                  std::decay_t<Fn>,
                                  std::decay_t<
                                      typename Futures::template Given<i, Args>>...>(
                              )) {
                    auto* const task = new detail::RetriedTask<R, Call>(
                        options,
                        gate,
                        std::forward<Fn>(fn),
                        detail::kept_argument<
                            Futures::template awaits<i>,
                            std::decay_t<Args>>(
                            Futures::template number<i>, std::forward<Args>(args)
                        )...
                    );
                    return let_wait(options, *gate, task, std::get<i>(handles)...);
                } else {
                    detail::throw_not_repeatable();
                }
            }
        }
        auto* const task = new detail::ThreadTask<R, Call>(
            gate,
            std::forward<Fn>(fn),
            detail::kept_argument<Futures::template awaits<i>, std::decay_t<Args>>(
                Futures::template number<i>, std::forward<Args>(args)
            )...
        );
        return let_wait(options, *gate, task, std::get<i>(handles)...);
    }

    template <template <class, class> class Task, class R, class Call, class... Handles>
    Future<R> let_wait(
        SubmitOptions& options,
        detail::ThreadGate& gate,
        Task<R, Call>* task,
        const Handles&... handles
    ) {
        Future<R> future{detail::StatePtr<detail::State<R>>(task)};
        gate.lead_to(*task);
        (detail::add_handle(gate, handles), ...);
        gate.add_after(options.after);
        try {
            give_control(*task, options);
            await(gate, *task);
        } catch (...) {
            gate.abandon();
            task->drop_reference();  // the queue's
            throw;
        }
        gate.watch();
        return future;
    }

    template <template <class, class> class Task, class R, class Call>
    Future<R> submit_task(SubmitOptions* options, Task<R, Call>* task) {
        Future<R> future{detail::StatePtr<detail::State<R>>(task)};
        try {
            if (options != nullptr) {
                give_control(*task, *options);
            }
            submit_work(*task);
        } catch (...) {
            task->drop_reference();  // the queue's
            throw;
        }
        return future;
    }

    void give_control(detail::Work& work, SubmitOptions& options);
    void submit_work(detail::Work& work);
    void await(detail::WaitingTask& task, detail::Work& work);
    void close() noexcept;

    std::shared_ptr<detail::ThreadPool> pool_;
    bool borrowed_ = false;
};

/// The name of the calling thread: of a pool's thread in full length, of others as the
/// system knows it.
std::string current_thread_name();

}  // namespace futures

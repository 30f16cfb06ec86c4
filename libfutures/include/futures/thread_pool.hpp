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
#include "futures/detail/thread_task.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/local_call.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace futures {

struct ThreadPoolOptions {
    /// Most threads to have; they are made when there is work. Without it,
    /// min(32, mp::usable_cpu_count() + 4).
    std::optional<Count> max_workers = {};
    /// Threads are called prefix_0, prefix_1 ...; the system shows 15 characters of it.
    /// Without it, "ThreadPoolExecutor-K" with a K of this executor's own.
    std::string thread_name_prefix = {};
    /// Called in each thread before its first task. If it throws, the executor is
    /// broken: see BrokenThreadPool.
    std::function<void()> initializer = {};
};

struct ThreadPoolStatistics {
    std::size_t threads = 0;      ///< made so far
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
    /// Never blocks. Throws: mp::StateError after shutdown() or while the program
    /// exits, BrokenThreadPool when an initializer failed. A task that waits for
    /// another task of the same executor may wait for ever: all threads can be in that
    /// place.
    template <class Fn, class... Args>
        requires(!std::same_as<std::decay_t<Fn>, SubmitOptions>)
    auto submit(Fn&& fn, Args&&... args) {
        using Check = mp::detail::LocalCall<Fn, Args...>;
        using R = typename Check::Result;
        if constexpr (!mp::detail::accepts<Check::refusal, Fn, Args...>()) {
            return Future<R>();
        } else if constexpr (sizeof...(Args) == 0) {
            return submit_task<R>(
                new detail::ThreadTask<R, std::decay_t<Fn>>(std::forward<Fn>(fn))
            );
        } else {
            using Call = detail::BoundCall<std::decay_t<Fn>, std::decay_t<Args>...>;
            return submit_task<R>(new detail::ThreadTask<R, Call>(
                std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...
            ));
        }
    }

    /// The same with options. Throws std::invalid_argument, too, for one that a thread
    /// cannot have, and for a call with `.retry_on` that cannot be made several times:
    /// then it is called as an lvalue, with its arguments as lvalues. While such a call
    /// waits for its `.retry_delay`, so does its thread.
    template <class Fn, class... Args>
    auto submit(SubmitOptions options, Fn&& fn, Args&&... args) {
        detail::check_options_of_thread(options);
        using Check = mp::detail::LocalCall<Fn, Args...>;
        if constexpr (Check::refusal == mp::detail::Refusal::none) {
            if (options.retry_on && options.retries > 0) {
                return submit_task<typename Check::Result>(
                    detail::new_retried_task<typename Check::Result>(
                        options, std::forward<Fn>(fn), std::forward<Args>(args)...
                    )
                );
            }
        }
        return submit(std::forward<Fn>(fn), std::forward<Args>(args)...);
    }

    using detail::SubmitOfName<SubmitOptions>::submit;

    /// Calls `fn` for the items of the ranges, side by side, until the shortest ends;
    /// `for (int x : threads.map(fn, inputs))` gives the results in order. Everything
    /// is submitted at the call, unless a buffersize is set. `fn` is copied for each
    /// item.
    template <class Fn, class... Ranges>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        using Check = detail::MapCheck<mp::detail::LocalCall, Fn, Ranges...>;
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
        using Check = detail::MapCheck<mp::detail::LocalCall, Fn, Ranges...>;
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

    template <class R, template <class, class> class Task, class Call>
    Future<R> submit_task(Task<R, Call>* task) {
        Future<R> future{detail::StatePtr<detail::State<R>>(task)};
        try {
            submit_work(*task);
        } catch (...) {
            task->drop_reference();  // the queue's
            throw;
        }
        return future;
    }

    void submit_work(detail::Work& work);
    void close() noexcept;

    std::shared_ptr<detail::ThreadPool> pool_;
    bool borrowed_ = false;
};

/// The name of the calling thread: of a pool's thread in full length, of others as the
/// system knows it.
std::string current_thread_name();

}  // namespace futures

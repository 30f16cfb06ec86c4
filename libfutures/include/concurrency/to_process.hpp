// SPDX-License-Identifier: BSL-1.0
// to_process::run_sync: a function called in a process, for what takes a processor.
// Python:  anyio.to_process.run_sync.
// Differs: cancellable=True is OnCancel::kill. The processes are a pool of the loop's
//          own, as many as there are processors, started when they are needed; run_in()
//          uses a pool that the program has. Never fork, beside the threads that there
//          are: where that is the program's start method, spawn.
// Threads: a task of a loop; elsewhere RuntimeError.
// Throws:  what the function throws; futures::WorkerLost, when its process dies;
//          Cancelled, at a checkpoint of a scope that is cancelled.
// Read next: concurrency/futures.hpp
#pragma once

#include "futures/process_pool.hpp"

#include "concurrency/checkpoint.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/future_wait.hpp"
#include "concurrency/futures.hpp"

#include <concepts>
#include <type_traits>
#include <utility>

namespace concurrency {

namespace to_process {

/// What run_sync() may be told besides the call.
struct ProcessOptions {
    /// What becomes of the call when the task is cancelled while it runs.
    OnCancel on_cancel = OnCancel::wait;
};

}  // namespace to_process

namespace detail {

/// The processes of this task's loop.
futures::ProcessPoolExecutor& processes_of(LoopTask& task);

template <class T, class Fn, class... Args>
Task<T> run_in_process(to_process::ProcessOptions options, Fn fn, Args... args) {
    check_cancelled();
    auto& pool = processes_of(this_task());
    Task<T> running = run_in_executor<T>(
        pool, options.on_cancel, "to_process", std::move(fn), std::move(args)...
    );
    co_return co_await std::move(running);
}

}  // namespace detail

namespace to_process {

/// Calls fn(args...) in a worker process, as ProcessPoolExecutor::submit() does, and
/// gives what it returns. A checkpoint before that: in a scope that is cancelled no
/// process is started. Cancelled while the function runs, it waits for that, unless
/// the options say otherwise: OnCancel::kill ends the process.
template <class Fn, class... Args>
    requires(!std::same_as<std::decay_t<Fn>, ProcessOptions>)
auto run_sync(ProcessOptions options, Fn&& fn, Args... args) {
    detail::check_awaited_callable<Fn>();
    using Submitted =
        detail::SubmittedTo<futures::ProcessPoolExecutor, std::decay_t<Fn>, Args...>;
    return detail::run_in_process<typename Submitted::value_type>(
        options, std::decay_t<Fn>(std::forward<Fn>(fn)), std::move(args)...
    );
}

template <class Fn, class... Args>
    requires(!std::same_as<std::decay_t<Fn>, ProcessOptions>)
auto run_sync(Fn&& fn, Args... args) {
    return to_process::run_sync(
        ProcessOptions(), std::forward<Fn>(fn), std::move(args)...
    );
}

/// Short for run_sync(ProcessOptions{.on_cancel = on_cancel}, fn, args...).
template <class Fn, class... Args>
auto run_sync(OnCancel on_cancel, Fn&& fn, Args... args) {
    return to_process::run_sync(
        ProcessOptions{.on_cancel = on_cancel}, std::forward<Fn>(fn), std::move(args)...
    );
}

}  // namespace to_process

}  // namespace concurrency

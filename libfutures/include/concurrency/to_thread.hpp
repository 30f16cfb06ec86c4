// SPDX-License-Identifier: BSL-1.0
// run_sync: a function that blocks, called in a thread while the loop goes on.
// Python:  anyio.to_thread.run_sync; lionpride.libs.concurrency.run_sync.
// Differs: abandon_on_cancel is OnCancel::abandon. No more than 40 threads run for a
//          loop at once; they are the loop's own, and end with it.
// Threads: a task of a loop; elsewhere RuntimeError.
// Throws:  what the function throws; Cancelled, at a checkpoint of a scope that is
//          cancelled; std::system_error, when there can be no thread at all.
// Read next: concurrency/detail/thread_call.hpp, concurrency/from_thread.hpp
#pragma once

#include "futures/future.hpp"

#include "concurrency/checkpoint.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/future_wait.hpp"
#include "concurrency/detail/thread_call.hpp"

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace concurrency {

/// What run_sync() may be told besides the call.
struct ThreadOptions {
    /// What becomes of the call when the task is cancelled while it runs.
    OnCancel on_cancel = OnCancel::wait;
    /// Whose token the call borrows until its thread is free, which may be after the
    /// task has left; the limiter must live as long. Null: the default one.
    CapacityLimiter* limiter = nullptr;
};

namespace detail {

template <class Fn, class... Args>
using ThreadResult =
    std::decay_t<std::invoke_result_t<std::decay_t<Fn>, std::decay_t<Args>...>>;

template <class T, class Fn, class... Args>
Task<T> run_in_thread(ThreadOptions options, Fn fn, Args... args) {
    co_await checkpoint();
    LoopTask& task = this_task();
    const auto call =
        std::make_shared<ThreadCall>(task, options.on_cancel, options.limiter);
    std::optional<futures::Future<T>> future;
    const ThreadCall::Caller caller(*call);
    co_await call->take_token();
    task.check_cancelled();
    future.emplace(call->pool().submit(
        CallInThread<Fn, Args...>(call, std::move(fn), std::move(args)...)
    ));
    FutureWait wait(task, future->base(), options.on_cancel, "to_thread");
    wait.own_call();
    wait.tell(call->cancelled());
    const bool has_to_wait = wait.begin();
    call->watch(future->base());  // after that, so that the token comes first
    if (has_to_wait) {
        co_await wait;
        wait.check();
    }
    co_return (*std::move(future)).result();
}

}  // namespace detail

/// Calls fn(args...) in a thread of the loop's, and gives what it returns. The
/// arguments are copied or moved, and destroyed before it returns. A checkpoint before
/// that: in a scope that is cancelled nothing is called. Cancelled while the function
/// runs, it waits for that, gives the result, and the next checkpoint throws Cancelled.
/// Waits, too, while as many threads run as the limiter lets.
template <class Fn, class... Args>
    requires(!std::same_as<std::decay_t<Fn>, ThreadOptions>)
auto run_sync(ThreadOptions options, Fn&& fn, Args... args) {
    detail::check_awaited_callable<Fn>();
    using T = detail::ThreadResult<Fn, Args...>;
    static_assert(
        !detail::is_task<T>,
        "run_sync() is for functions that block: await a coroutine instead"
    );
    return detail::run_in_thread<T, std::decay_t<Fn>, Args...>(
        options, std::forward<Fn>(fn), std::move(args)...
    );
}

template <class Fn, class... Args>
    requires std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>
auto run_sync(Fn&& fn, Args... args) {
    return run_sync(ThreadOptions(), std::forward<Fn>(fn), std::move(args)...);
}

/// Short for run_sync(ThreadOptions{.on_cancel = on_cancel}, fn, args...).
template <class Fn, class... Args>
auto run_sync(OnCancel on_cancel, Fn&& fn, Args... args) {
    return run_sync(
        ThreadOptions{.on_cancel = on_cancel}, std::forward<Fn>(fn), std::move(args)...
    );
}

/// Short for run_sync(ThreadOptions{.limiter = &limiter}, fn, args...).
template <class Fn, class... Args>
    requires std::is_invocable_v<std::decay_t<Fn>, Args...>
auto run_sync(CapacityLimiter& limiter, Fn&& fn, Args... args) {
    return run_sync(
        ThreadOptions{.limiter = &limiter}, std::forward<Fn>(fn), std::move(args)...
    );
}

namespace to_thread {

using concurrency::run_sync;

/// The limiter of the calls for which options name none, of this loop: 40 threads run
/// at a time, unless its total is set. Throws RuntimeError outside a loop.
CapacityLimiter& current_default_thread_limiter();

}  // namespace to_thread

}  // namespace concurrency

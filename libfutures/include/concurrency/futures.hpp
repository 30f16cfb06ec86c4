// SPDX-License-Identifier: BSL-1.0
// co_await of futures, of whatever pool, and run_in: a call in a pool, awaited.
// Python:  asyncio.wrap_future, loop.run_in_executor.
// Differs: OnCancel says what becomes of the call when the task is cancelled. A future
//          that somebody else cancelled throws futures::CancelledError, an error like
//          others.
// Threads: a task of a loop; elsewhere RuntimeError.
// Throws:  what the call threw; Cancelled, at a checkpoint of a scope that is cancelled.
// Read next: concurrency/detail/future_wait.hpp, concurrency/to_thread.hpp
#pragma once

#include "futures/future.hpp"

#include "concurrency/checkpoint.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/future_wait.hpp"
#include "concurrency/detail/waiter.hpp"

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace concurrency {

/// Waits until a future is done, and gives what result() of a temporary handle gives:
/// the value is moved out of the only handle, else copied. Suspends if it is not done.
/// When the task is cancelled meanwhile, the call is cancelled if it has not begun, and
/// OnCancel says what becomes of one that runs. Throws what result() throws, too.
template <class T>
Task<T> await_future(futures::Future<T> future, OnCancel on_cancel = OnCancel::wait) {
    detail::LoopTask& task = detail::this_task();
    detail::FutureWait wait(task, future.base(), on_cancel, "await_future");
    if (wait.begin()) {
        co_await wait;
        wait.check();
    } else {
        detail::Passed passed(task);
        co_await passed;
    }
    co_return std::move(future).result();
}

namespace detail {

template <class Executor, class Fn, class... Args>
using SubmittedTo = decltype(std::declval<Executor&>().submit(
    std::declval<Fn>(), std::declval<Args>()...
));

/// What `co_await future` does.
template <class T>
class FutureAwaiter {
public:
    explicit FutureAwaiter(futures::Future<T> future)
        : awaiting_(await_future(std::move(future))),
          awaiter_(std::move(awaiting_).operator co_await()) {}

    bool await_ready() const noexcept { return false; }

    template <class Caller>
    void await_suspend(std::coroutine_handle<Promise<Caller>> caller) const noexcept {
        awaiter_.await_suspend(caller);
    }

    T await_resume() const { return awaiter_.await_resume(); }

private:
    Task<T> awaiting_;
    TaskAwaiter<T> awaiter_;
};

/// A call in a pool, for a task that waits for it; `what` is what people call that.
template <class T, class Executor, class Fn, class... Args>
Task<T> run_in_executor(
    Executor& executor, OnCancel on_cancel, const char* what, Fn fn, Args... args
) {
    co_await checkpoint();
    LoopTask& task = this_task();
    futures::Future<T> future = executor.submit(std::move(fn), std::move(args)...);
    FutureWait wait(task, future.base(), on_cancel, what);
    wait.own_call();
    if (wait.begin()) {
        co_await wait;
        wait.check();
    }
    co_return std::move(future).result();
}

}  // namespace detail

/// Calls fn(args...) in a pool, as executor.submit() does, and gives what it returns.
/// A checkpoint before that: in a scope that is cancelled nothing is submitted. The
/// arguments are copied or moved. The executor must live until this has ended.
template <class Executor, class Fn, class... Args>
    requires(!std::same_as<std::decay_t<Fn>, OnCancel>)
auto run_in(Executor& executor, OnCancel on_cancel, Fn&& fn, Args... args) {
    detail::check_awaited_callable<Fn>();
    using Submitted = detail::SubmittedTo<Executor, std::decay_t<Fn>, Args...>;
    return detail::run_in_executor<typename Submitted::value_type>(
        executor,
        on_cancel,
        "run_in",
        std::decay_t<Fn>(std::forward<Fn>(fn)),
        std::move(args)...
    );
}

template <class Executor, class Fn, class... Args>
    requires(!std::same_as<std::decay_t<Fn>, OnCancel>)
auto run_in(Executor& executor, Fn&& fn, Args... args) {
    return run_in(executor, OnCancel::wait, std::forward<Fn>(fn), std::move(args)...);
}

}  // namespace concurrency

namespace futures {

/// `co_await pool.submit(f)`: concurrency::await_future() of it.
template <class T>
concurrency::detail::FutureAwaiter<T> operator co_await(Future<T> future) {
    return concurrency::detail::FutureAwaiter<T>(std::move(future));
}

}  // namespace futures

// SPDX-License-Identifier: BSL-1.0
// from_thread: calls from threads into a loop, which wait for the result.
// Python:  anyio.from_thread.run, run_sync, check_cancelled; trio.from_thread.
// Differs: a thread that run_sync() did not call names the loop by its token.
// Threads: any but the loop's own.  Blocks: until the result is there.
// Throws:  RuntimeError, in the loop's own thread, when the loop has ended, and without
//          a token where there is no call of run_sync().
// Read next: concurrency/blocking_portal.hpp
#pragma once

#include "futures/future.hpp"
#include "mp/timeout.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/guest.hpp"
#include "concurrency/detail/plain_call.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/event_loop_token.hpp"

#include <memory>
#include <type_traits>
#include <utility>

namespace concurrency {

namespace detail {

/// The call of run_sync() that this thread makes. Throws RuntimeError where there is
/// none.
std::shared_ptr<ThreadCall> call_of_this_thread();

const EventLoopToken& token_of(const ThreadCall& call) noexcept;

/// Throws RuntimeError in a turn of that loop.
void check_other_thread(const EventLoopToken& token);

/// A plain function for run(). A coroutine function is refused.
template <class... Args, class Fn>
PlainFunction<std::decay_t<Fn>> plain_function(Fn&& fn) {
    static_assert(
        !is_task<std::invoke_result_t<std::decay_t<Fn>, std::decay_t<Args>...>>,
        "from_thread::run_sync() is for plain functions: run() is for coroutines"
    );
    return PlainFunction<std::decay_t<Fn>>(std::forward<Fn>(fn));
}

/// Waits for what was sent to the loop.
template <class T>
void wait_for_guest(const futures::Future<T>& future) {
    static_cast<void>(future.base().wait(mp::Deadline(mp::forever)));
}

}  // namespace detail

namespace from_thread {

/// Runs fn(args...), which gives a Task, in the loop that called this thread by
/// run_sync(), as a task below the one that waits for this thread: scopes of that one
/// cancel it. If that one may leave before the thread has ended (OnCancel::abandon), it
/// lies in no scope. Waits, and gives what it returns. Throws what it throws, and
/// Cancelled when it was cancelled.
template <class Fn, class... Args>
    requires detail::CoroutineFunction < std::decay_t<Fn>
&, std::decay_t<Args>... > auto run(Fn&& fn, Args&&... args) {
    auto call = detail::call_of_this_thread();
    const EventLoopToken token = detail::token_of(*call);
    detail::check_other_thread(token);
    auto future = detail::send_guest(
        token,
        detail::GuestHome(std::move(call)),
        {},
        std::forward<Fn>(fn),
        std::forward<Args>(args)...
    );
    detail::wait_for_guest(future);
    if (future.cancelled()) {
        throw Cancelled();
    }
    return std::move(future).result();
}

/// The same in any loop, from any thread, as submit() does it: in no scope. Throws
/// futures::CancelledError when the coroutine was cancelled, as it is when the main
/// task ends.
template <class Fn, class... Args>
    requires detail::CoroutineFunction < std::decay_t<Fn>
&, std::decay_t<Args>... >
       auto run(const EventLoopToken& loop, Fn&& fn, Args&&... args) {
    detail::check_other_thread(loop);
    return detail::send_guest(
               loop, {}, {}, std::forward<Fn>(fn), std::forward<Args>(args)...
    )
        .result();
}

/// Calls fn(args...), a plain function, in the loop, in a task as run() does it. Waits,
/// and gives what it returns. It is never cancelled.
template <class Fn, class... Args>
    requires std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>
auto run_sync(Fn&& fn, Args&&... args) {
    return run(
        detail::plain_function<Args...>(std::forward<Fn>(fn)),
        std::forward<Args>(args)...
    );
}

/// The same in any loop, from any thread.
template <class Fn, class... Args>
    requires std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>
auto run_sync(const EventLoopToken& loop, Fn&& fn, Args&&... args) {
    return run(
        loop,
        detail::plain_function<Args...>(std::forward<Fn>(fn)),
        std::forward<Args>(args)...
    );
}

/// In a thread that run_sync() called: throws Cancelled when the task that called it
/// has been cancelled since; the function is to let it pass. Throws RuntimeError
/// elsewhere.
void check_cancelled();

}  // namespace from_thread

}  // namespace concurrency

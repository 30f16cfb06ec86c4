// SPDX-License-Identifier: BSL-1.0
// submit: a coroutine given to a loop by whatever thread, with a future of its result.
// Python:  asyncio.run_coroutine_threadsafe; BlockingPortal.start_task_soon.
// Differs: the loop is named by a token, as trio's is. The coroutine is a task of its
//          own: what it throws is the future's and harms nobody.
// Threads: any.
// Throws:  RuntimeError, when the loop's main task has ended.
// Read next: concurrency/detail/guest.hpp, concurrency/from_thread.hpp
#pragma once

#include "futures/future.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/guest.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/task_group.hpp"

#include <string>
#include <type_traits>
#include <utility>

namespace concurrency {

/// Runs fn(args...), which gives a Task, in the loop, and gives the future of its
/// result. Never waits. fn and args are copied or moved, and live until the coroutine
/// has ended. cancel() of the future cancels the coroutine, which begins all the same
/// and sees that at its first checkpoint; the future is cancelled at once. It is
/// cancelled, too, when the coroutine ends with Cancelled. When the main task ends, the
/// coroutine is cancelled and waited for; one that has not begun is destroyed, and its
/// future throws RuntimeError.
template <class Fn, class... Args>
    requires detail::CoroutineFunction < std::decay_t<Fn>
&, std::decay_t<Args>... >
       auto submit(const EventLoopToken& loop, Fn&& fn, Args&&... args) {
    return detail::send_guest(
        loop, {}, {}, std::forward<Fn>(fn), std::forward<Args>(args)...
    );
}

/// The same with a name for the task.
template <class Fn, class... Args>
    requires detail::CoroutineFunction < std::decay_t<Fn>
&, std::decay_t<Args>... >
       auto submit(
           const EventLoopToken& loop, TaskOptions options, Fn&& fn, Args&&... args
       ) {
    return detail::send_guest(
        loop,
        {},
        std::string(options.name),
        std::forward<Fn>(fn),
        std::forward<Args>(args)...
    );
}

/// The same as a task of a group, which waits for it and can cancel it. A group that
/// has ended makes the future throw RuntimeError.
template <class Fn, class... Args>
    requires detail::CoroutineFunction < std::decay_t<Fn>
&, std::decay_t<Args>... >
       auto submit(
           const EventLoopToken& loop, const TaskGroup& group, Fn&& fn, Args&&... args
       ) {
    return detail::send_guest(
        loop,
        detail::GuestHome(group),
        {},
        std::forward<Fn>(fn),
        std::forward<Args>(args)...
    );
}

/// The same of a Task that was made already: submit(loop, fetch(url)).
template <class T>
futures::Future<T> submit(const EventLoopToken& loop, Task<T> body) {
    return submit(loop, [task = std::move(body)]() mutable { return std::move(task); });
}

template <class T>
futures::Future<T>
submit(const EventLoopToken& loop, const TaskGroup& group, Task<T> body) {
    return submit(loop, group, [task = std::move(body)]() mutable {
        return std::move(task);
    });
}

}  // namespace concurrency

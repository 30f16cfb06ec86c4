// SPDX-License-Identifier: BSL-1.0
// run: from ordinary code into a loop, and out of it again with the result.
// Python:  anyio.run; lionpride.libs.concurrency.run_async.
// Differs: the backends are executors of Boost.Asio. <concurrency/run.hpp> runs over an
//          executor of the program's own.
// Threads: any that is in no loop; run_async() any at all.  Blocks: until the task ends.
// Read next: concurrency/run.hpp, src/concurrency/loop/drive.cpp
#pragma once

#include "concurrency/detail/main_task.hpp"

#include <type_traits>
#include <utility>

namespace concurrency {

/// What runs a loop. The tasks of one loop run one at a time with each of them.
enum class Backend {
    io_context,       ///< an io_context, run by the thread that called run()
    thread_pool,      ///< a strand of a thread pool made for it
    system_executor,  ///< a strand of the program's system executor
};

/// Runs a coroutine in a loop of its own, until it ends; returns what it returns,
/// throws what it throws. `main` is a callable without arguments that gives a Task,
/// called in the loop, or a Task. Throws RuntimeError inside a loop, where run_async()
/// works.
template <detail::MainFunction Fn>
detail::MainResult<Fn> run(Fn&& main, Backend backend = Backend::io_context) {
    detail::Main<std::remove_reference_t<Fn>> task(main);
    detail::drive(task, backend);
    return task.take();
}

/// The same with arguments: run(fetch, url) runs fetch(url). They are given as they
/// are, and what one is converted to lives until fn has ended.
template <class Fn, class... Args>
    requires detail::MainFunctionOf<Fn, Args...>
auto run(Fn&& fn, Args&&... args) {
    const auto main = detail::call_in_main(fn, std::forward<Args>(args)...);
    return run(main);
}

/// The same in a thread of its own, which it waits for: for ordinary code that may be
/// called from inside a loop. That loop stands still meanwhile. Throws
/// std::system_error, too, when there can be no thread.
template <detail::MainFunction Fn>
detail::MainResult<Fn> run_async(Fn&& main, Backend backend = Backend::io_context) {
    detail::Main<std::remove_reference_t<Fn>> task(main);
    detail::drive_in_own_thread(task, backend);
    return task.take();
}

/// The same with arguments.
template <class Fn, class... Args>
    requires detail::MainFunctionOf<Fn, Args...>
auto run_async(Fn&& fn, Args&&... args) {
    const auto main = detail::call_in_main(fn, std::forward<Args>(args)...);
    return run_async(main);
}

}  // namespace concurrency

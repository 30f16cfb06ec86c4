// SPDX-License-Identifier: BSL-1.0
// RunOptions: what a loop is run by, and the signal at which it tells where its tasks
// wait.
// Python:  the keyword arguments of anyio.run.
// Differs: print_tasks_on; Python has such a signal in faulthandler, for threads.
// Threads: any that is in no loop.  Blocks: until the task ends.
// Throws:  RuntimeError, inside a loop; ValueError for what is no signal.
// Read next: src/concurrency/bridges/run_options.cpp
#pragma once

#include "concurrency/backend.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/main_task.hpp"
#include "concurrency/testing.hpp"

#include <optional>
#include <type_traits>
#include <utility>

namespace concurrency {

/// How run() runs a loop.
struct RunOptions {
    /// What runs it.
    Backend backend = Backend::io_context;
    /// When this signal comes, SIGUSR1 for one, all tasks and where each of them waits
    /// are written to the standard error, as to_string(get_running_tasks()) shows them:
    /// the first thing one needs when a program hangs. It comes when the task that runs
    /// has suspended. Afterwards the signal has its default action again.
    std::optional<int> print_tasks_on = std::nullopt;
    /// The loop's clock, for a test; null for the system's.
    testing::MockClock* clock = nullptr;
};

namespace detail {

/// In the loop: begins to print its tasks. Throws ValueError for what is no signal that
/// can be received.
void print_tasks_on(int signal);

template <class Fn>
Task<MainResult<Fn>> run_printing(Fn& main, int signal) {
    print_tasks_on(signal);
    Task<MainResult<Fn>> running = MainTraits<std::remove_cvref_t<Fn>>::call(main);
    co_return co_await std::move(running);
}

template <class Fn>
MainResult<Fn> run_by_clock(Fn& main, const RunOptions& options) {
    return options.clock != nullptr ? run(main, *options.clock, options.backend)
                                    : run(main, options.backend);
}

}  // namespace detail

/// Runs `main` as run(main, backend) does: run(serve, {.print_tasks_on = SIGUSR1}).
template <detail::MainFunction Fn>
detail::MainResult<Fn> run(Fn&& main, const RunOptions& options) {
    if (!options.print_tasks_on) {
        return detail::run_by_clock(main, options);
    }
    const auto printing = [&] {
        return detail::run_printing(main, *options.print_tasks_on);
    };
    return detail::run_by_clock(printing, options);
}

}  // namespace concurrency

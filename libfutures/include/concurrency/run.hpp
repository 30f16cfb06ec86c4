// SPDX-License-Identifier: BSL-1.0
// run over an executor of Boost.Asio that the program has: its I/O and the tasks share
// a thread.
// Python:  none; anyio.run with a loop that others made is nearest.
// Differs: nothing to differ from.
// Threads: any that is in no loop.  Blocks: until the task ends.
// Throws:  RuntimeError, inside a loop.
#pragma once

#include "concurrency/backend.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <type_traits>

namespace concurrency {

namespace testing {
class MockClock;
}

namespace detail {

void drive(MainTask& main, boost::asio::io_context& context);
void drive(MainTask& main, const boost::asio::any_io_executor& executor);
void drive(MainTask& main, boost::asio::io_context& context, testing::MockClock& clock);

}  // namespace detail

/// Runs `main` in this io_context, which this thread runs meanwhile, and nobody else;
/// other handlers of it run as well. Afterwards it can be run again. When a handler
/// stops it before `main` has ended, the tasks are destroyed where they wait, and it
/// throws RuntimeError. When a handler throws, the tasks are cancelled, and that comes
/// out when they have ended.
template <detail::MainFunction Fn>
detail::MainResult<Fn> run(Fn&& main, boost::asio::io_context& context) {
    detail::Main<std::remove_reference_t<Fn>> task(main);
    detail::drive(task, context);
    return task.take();
}

/// The same in a loop that has this clock, which concurrency/testing.hpp tells of; the
/// io_context's own timers do not see it.
template <detail::MainFunction Fn>
detail::MainResult<Fn>
run(Fn&& main, testing::MockClock& clock, boost::asio::io_context& context) {
    detail::Main<std::remove_reference_t<Fn>> task(main);
    detail::drive(task, context, clock);
    return task.take();
}

/// Runs `main` by an executor that calls one handler at a time: a strand, or that of an
/// io_context which one other thread runs. It has work until `main` has ended. When the
/// executor is destroyed before that, the tasks are destroyed where they wait, and it
/// throws RuntimeError; in a handler of this executor, too, as it would wait for
/// itself. While an io_context of another thread is stopped, the tasks stand still, and
/// this waits: until that is restarted and run again, or destroyed. So whoever stops it
/// for good destroys it before waiting for the thread that called this. Throws
/// ValueError for an executor that can be seen to call several handlers at once.
template <detail::MainFunction Fn>
detail::MainResult<Fn> run(Fn&& main, const boost::asio::any_io_executor& executor) {
    detail::Main<std::remove_reference_t<Fn>> task(main);
    detail::drive(task, executor);
    return task.take();
}

}  // namespace concurrency

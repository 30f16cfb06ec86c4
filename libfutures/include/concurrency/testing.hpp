// SPDX-License-Identifier: BSL-1.0
// For tests of programs with tasks: a clock that is moved by hand or jumps over what
// nobody needs to wait for, and waiting until all tasks wait.
// Python:  trio.testing.MockClock, trio.testing.wait_all_tasks_blocked;
//          anyio.wait_all_tasks_blocked.
// Differs: the clock is given to run(), and begins at 0.
// Threads: the loop's that uses it; any while none does.
// Throws:  ValueError, for a rate or a jump into the past; RuntimeError, when two loops
//          are to use one clock at the same time.
#pragma once

#include "concurrency/backend.hpp"
#include "concurrency/clock.hpp"
#include "concurrency/coroutine.hpp"

#include <optional>

namespace concurrency {

namespace detail {
class MockDriver;
}

namespace testing {

/// How a MockClock goes on by itself: MockClock clock({.autojump_threshold = 0}).
struct MockClockOptions {
    /// By how many seconds in a real second.
    double rate = 0;
    /// After how many real seconds in which nothing has run it jumps.
    Delay autojump_threshold = std::nullopt;
};

/// A clock for run(): what sleeps for hours, or has limits of days, is tested in
/// milliseconds, and each time in the same order. It begins at 0 and stands still,
/// unless it has a rate, jump() is called, or it may jump by itself.
class MockClock {
public:
    /// `rate` is by how many seconds the clock goes on in a real second. When nothing
    /// has run for so many real seconds as `autojump_threshold` says, it jumps to the
    /// next time that somebody waits for: at once with 0, never with inf or
    /// std::nullopt. Tasks that wait for a thread or for the network count as waiting,
    /// so give a threshold above 0 where there are such. Throws ValueError for a rate
    /// that is negative or not finite.
    explicit MockClock(double rate = 0, Delay autojump_threshold = std::nullopt);

    /// The same, by name.
    explicit MockClock(const MockClockOptions& options)
        : MockClock(options.rate, options.autojump_threshold) {}

    MockClock(const MockClock&) = delete;
    MockClock& operator=(const MockClock&) = delete;
    ~MockClock() = default;

    /// What it shows, in seconds: the current_time() of the loop that uses it.
    double current_time() const noexcept { return detail::to_seconds(now()); }

    /// Moves it on by so much; who has waited for a time until there goes on in the
    /// next turn. Throws ValueError for a negative time, or one of centuries.
    void jump(Delay time);

    /// By how many seconds it goes on in a real second.
    double rate() const noexcept { return rate_; }

    /// Throws as the constructor does.
    void set_rate(double rate);

    /// After how many real seconds without anything to run it jumps; inf for never.
    double autojump_threshold() const noexcept { return autojump_threshold_; }

    /// Holds from the loop's next turn on.
    void set_autojump_threshold(Delay threshold);

private:
    friend class detail::MockDriver;

    detail::TimePoint now() const noexcept;
    void set_now(detail::TimePoint time) noexcept;

    double rate_;
    double autojump_threshold_;
    detail::TimePoint shown_{};  // at the real time `since_`
    detail::TimePoint since_;
    detail::MockDriver* user_ = nullptr;  // of the loop that it is the clock of
};

/// Suspends until every other task of the loop waits for something, and nothing has run
/// for this time, which is a real one also under a MockClock. That another one waits
/// here counts as waiting. Throws Cancelled when a scope around is cancelled.
Task<> wait_all_tasks_blocked(Delay cushion = 0);

}  // namespace testing

namespace detail {

void drive(MainTask& main, Backend backend, testing::MockClock& clock);

}  // namespace detail

/// Runs `main` as run(main, backend) does, in a loop that has this clock.
template <detail::MainFunction Fn>
detail::MainResult<Fn>
run(Fn&& main, testing::MockClock& clock, Backend backend = Backend::io_context) {
    detail::Main<std::remove_reference_t<Fn>> task(main);
    detail::drive(task, backend, clock);
    return task.take();
}

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
#include "concurrency/checkpoint.hpp"

#include "concurrency/detail/timer.hpp"
#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/running.hpp"

#include <atomic>

namespace concurrency {

namespace {

class Sleep final : public detail::Park, private detail::Timer {
public:
    Sleep(detail::LoopTask& task, detail::TimePoint until)
        : Park(task, until == detail::TimePoint::max() ? "sleep_forever" : "sleep"),
          Timer(Kind::sleeper) {
        set(task.loop(), until);
    }

    bool abort() noexcept override {
        clear();
        return true;
    }

private:
    void fire() noexcept override { task().wake(); }
};

/// From when it begins to run, not from when it was called.
Task<> sleep_for_duration(detail::Clock::duration duration) {
    detail::LoopTask& task = detail::this_task();
    task.check_cancelled();
    const detail::TimePoint now = task.loop().now();
    const bool is_before_the_end = duration < detail::TimePoint::max() - now;
    Sleep sleep(task, is_before_the_end ? now + duration : detail::TimePoint::max());
    co_await sleep;
}

Task<> sleep_until_time(detail::TimePoint until) {
    detail::LoopTask& task = detail::this_task();
    task.check_cancelled();
    Sleep sleep(task, until);
    co_await sleep;
}

}  // namespace

double current_time() {
    return detail::to_seconds(detail::this_task().loop().now());
}

Task<> checkpoint() {
    check_cancelled();
    co_await detail::Yield();
    check_cancelled();
}

Task<> cancel_shielded_checkpoint() {
    co_await detail::Yield();
}

namespace detail {

namespace {

/// In a thread that a task has called, and in no loop of its own; else null.
const std::atomic<bool>* call_is_cancelled() noexcept {
    return running_task() == nullptr ? running_here().call_is_cancelled : nullptr;
}

}  // namespace

}  // namespace detail

void check_cancelled() {
    if (const std::atomic<bool>* is_cancelled = detail::call_is_cancelled()) {
        if (*is_cancelled) {
            throw Cancelled();
        }
    } else {
        detail::this_task().check_cancelled();
    }
}

bool cancel_pending() {
    if (const std::atomic<bool>* is_cancelled = detail::call_is_cancelled()) {
        return *is_cancelled;
    }
    return detail::this_task().cancel_pending();
}

namespace detail {

Task<> sleep_for(Delay delay) {
    if (!(delay.seconds() > 0)) {
        return checkpoint();
    }
    const TimePoint duration = to_time_point(delay.seconds());
    if (duration == TimePoint::max()) {
        return sleep_forever();
    }
    return sleep_for_duration(duration.time_since_epoch());
}

}  // namespace detail

Task<> sleep_until(Instant deadline) {
    const detail::TimePoint until = detail::to_time_point(deadline.seconds());
    if (until <= detail::this_task().loop().now()) {
        co_await checkpoint();
    } else {
        co_await sleep_until_time(until);
    }
}

Task<> sleep_forever() {
    return sleep_until_time(detail::TimePoint::max());
}

}  // namespace concurrency

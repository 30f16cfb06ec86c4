// SPDX-License-Identifier: BSL-1.0
#include "concurrency/checkpoint.hpp"

#include "concurrency/detail/timer.hpp"
#include "concurrency/loop/loop.hpp"

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

void check_cancelled() {
    detail::this_task().check_cancelled();
}

bool cancel_pending() {
    return detail::this_task().cancel_pending();
}

namespace detail {

namespace {

Task<> sleep_for_duration(Clock::duration duration) {
    const TimePoint now = this_task().loop().now();
    // In its own statement: the deadline counts from when the task begins to sleep.
    Task<> sleeping = sleep_until_time(now + duration);
    co_await std::move(sleeping);
}

}  // namespace

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

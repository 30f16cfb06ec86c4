// SPDX-License-Identifier: BSL-1.0
// The clock of a test, and the driver by which a loop sees it.
#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/mock_driver.hpp"
#include "concurrency/testing.hpp"

#include <algorithm>
#include <cmath>

namespace concurrency {

namespace {

constexpr double latest = 3.9e9;

double checked_rate(double rate) {
    if (!(rate >= 0) || std::isinf(rate)) {
        throw ValueError("the rate of a MockClock must be 0 or more, and finite");
    }
    return rate;
}

double checked_threshold(Delay threshold) {
    return std::max(threshold.seconds(), 0.0);
}

}  // namespace

namespace testing {

MockClock::MockClock(double rate, Delay autojump_threshold)
    : rate_(checked_rate(rate)),
      autojump_threshold_(checked_threshold(autojump_threshold)),
      since_(detail::Clock::now()) {}

void MockClock::jump(Delay time) {
    const double seconds = time.seconds();
    if (!(seconds >= 0)) {
        throw ValueError("a MockClock cannot jump into the past");
    }
    const detail::TimePoint by = detail::to_time_point(seconds);
    const detail::TimePoint deadline = detail::to_time_point(current_time() + seconds);
    if (deadline == detail::TimePoint::max()) {
        throw ValueError("a MockClock cannot jump that far");
    }
    // A sleep and a deadline of this length are both over, however each was rounded.
    set_now(std::max(deadline, now() + by.time_since_epoch()));
    if (user_ != nullptr) {
        user_->changed();
    }
}

void MockClock::set_rate(double rate) {
    const double checked = checked_rate(rate);
    set_now(now());
    rate_ = checked;
    if (user_ != nullptr) {
        user_->changed();
    }
}

void MockClock::set_autojump_threshold(Delay threshold) {
    autojump_threshold_ = checked_threshold(threshold);
    if (user_ != nullptr) {
        user_->changed();
    }
}

detail::TimePoint MockClock::now() const noexcept {
    if (rate_ == 0) {
        return shown_;
    }
    const auto passed =
        std::chrono::duration<double>(detail::Clock::now() - since_) * rate_;
    // It stops before it shows what no clock can.
    const double shown = std::min(detail::to_seconds(shown_) + passed.count(), latest);
    return std::max(shown_, detail::to_time_point(shown));
}

void MockClock::set_now(detail::TimePoint time) noexcept {
    shown_ = time;
    since_ = detail::Clock::now();
}

Task<> wait_all_tasks_blocked(Delay cushion) {
    detail::LoopTask& task = detail::this_task();
    task.check_cancelled();
    detail::IdleWait wait(task, detail::to_time_point(cushion.seconds()));
    task.loop().add(wait);
    co_await wait;
}

}  // namespace testing

namespace detail {

MockDriver::MockDriver(Driver& real, testing::MockClock& clock)
    : real_(real), clock_(clock) {
    if (clock.user_ != nullptr) {
        throw RuntimeError("the MockClock is that of another loop already");
    }
    clock.user_ = this;
}

MockDriver::~MockDriver() {
    clock_.user_ = nullptr;
}

void MockDriver::call_at(TimePoint time) {
    if (clock_.rate_ == 0) {
        return;  // changed() comes first
    }
    const double ahead = to_seconds(time) - clock_.current_time();
    const TimePoint in = to_time_point(ahead / clock_.rate_);
    if (in != TimePoint::max()) {
        real_.call_at(Clock::now() + in.time_since_epoch());
    }
}

std::optional<Clock::duration> MockDriver::jumps_after() const noexcept {
    const TimePoint threshold = to_time_point(clock_.autojump_threshold_);
    return threshold == TimePoint::max() ? std::nullopt
                                         : std::optional(threshold.time_since_epoch());
}

void MockDriver::jump_to(TimePoint time) noexcept {
    clock_.set_now(std::max(time, clock_.now()));
}

void MockDriver::changed() {
    real_.call_at(Clock::now());
}

}  // namespace detail

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/limit_timer.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>

namespace futures::detail {

namespace os = mp::os;

LimitTimer::LimitTimer()
    : fd_(os::new_fd("timerfd_create", [] {
          return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      })) {}

void LimitTimer::set(Clock::time_point when) noexcept {
    itimerspec at{};
    if (when != Clock::time_point::max()) {
        constexpr std::int64_t second = 1'000'000'000;
        const std::int64_t ns =
            std::chrono::nanoseconds(when.time_since_epoch()).count();
        at.it_value.tv_sec = ns / second;
        at.it_value.tv_nsec = ns % second;
    }
    timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void LimitTimer::answer() noexcept {
    std::uint64_t times = 0;
    os::restarting([&] { return read(fd_.get(), &times, sizeof times); });
}

}  // namespace futures::detail

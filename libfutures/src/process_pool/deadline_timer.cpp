// SPDX-License-Identifier: BSL-1.0
#include "process_pool/deadline_timer.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace futures::detail {

namespace os = mp::os;

DeadlineTimer::DeadlineTimer()
    : fd_(os::new_fd("timerfd_create", [] {
          return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      })) {}

void DeadlineTimer::set(const mp::Deadline& deadline) noexcept {
    if (deadline.time_point() == set_.time_point()) {
        return;
    }
    set_ = deadline;
    itimerspec at{};
    if (!deadline.is_forever()) {
        constexpr std::chrono::nanoseconds earliest{1};  // 0 would mean never
        const auto since_boot = std::max(
            earliest, std::chrono::nanoseconds(deadline.time_point().time_since_epoch())
        );
        constexpr std::int64_t second = 1'000'000'000;
        at.it_value.tv_sec = since_boot.count() / second;
        at.it_value.tv_nsec = since_boot.count() % second;
    }
    timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void DeadlineTimer::take() noexcept {
    std::uint64_t times = 0;
    os::restarting([&] { return read(fd_.get(), &times, sizeof times); });
    set_ = mp::Deadline(mp::forever);
}

}  // namespace futures::detail

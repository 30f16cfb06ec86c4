// SPDX-License-Identifier: BSL-1.0
#include "process_pool/guard_timer.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>

namespace futures::detail {

namespace os = mp::os;

GuardTimer::GuardTimer()
    : fd_(os::new_fd("timerfd_create", [] {
          return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      })) {}

void GuardTimer::start() noexcept {
    itimerspec once{};
    once.it_value.tv_nsec = std::chrono::nanoseconds(interval).count();
    timerfd_settime(fd_.get(), 0, &once, nullptr);
}

void GuardTimer::answer() noexcept {
    std::uint64_t ticks = 0;
    os::restarting([&] { return read(fd_.get(), &ticks, sizeof ticks); });
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/guard_timer.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>

namespace futures::detail {

namespace os = mp::os;

GuardTimer::GuardTimer(std::uint64_t trim_threshold)
    : trim_threshold_(trim_threshold), fd_(os::new_fd("timerfd_create", [] {
          return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      })) {}

void GuardTimer::start() noexcept {
    start(interval);
}

void GuardTimer::start(std::chrono::nanoseconds after) noexcept {
    itimerspec once{};
    once.it_value.tv_nsec = after.count();  // less than a second
    timerfd_settime(fd_.get(), 0, &once, nullptr);
}

void GuardTimer::rest() noexcept {
    resting_ = true;
    // Before the flag: one who asks for a tick after it sets the timer anew.
    start(rest_interval);
    armed_.store(false);
}

void GuardTimer::idle() noexcept {
    resting_ = false;
    given_back_.store(0);
    idle_.store(true);
}

void GuardTimer::busy() noexcept {
    resting_ = false;
    // order: a hint; see given_back().
    idle_.store(false, std::memory_order_relaxed);
}

void GuardTimer::count(std::uint64_t bytes) noexcept {
    if (given_back_.fetch_add(bytes) + bytes > trim_threshold_) {
        given_back_.store(0);
        arm();
    }
}

void GuardTimer::answer() noexcept {
    std::uint64_t ticks = 0;
    os::restarting([&] { return read(fd_.get(), &ticks, sizeof ticks); });
}

}  // namespace futures::detail

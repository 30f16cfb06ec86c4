// SPDX-License-Identifier: BSL-1.0
#include "process_pool/doorbell.hpp"

#include "os/check.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>

namespace futures::detail {

namespace os = mp::os;

Doorbell::Doorbell()
    : fd_(os::check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {}

void Doorbell::ring(int fd) noexcept {
    // A full counter (EAGAIN) is a bell that rings already.
    const std::uint64_t one = 1;
    os::restarting([&] { return write(fd, &one, sizeof one); });
}

void Doorbell::answer() noexcept {
    std::uint64_t rings = 0;
    os::restarting([&] { return read(fd_.get(), &rings, sizeof rings); });
}

GuardTimer::GuardTimer()
    : fd_(os::check(
          timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create"
      )) {}

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

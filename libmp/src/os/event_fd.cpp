// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/event_fd.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace mp::detail {

EventFd::EventFd()
    : fd_(os::new_fd("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); })
      ) {}

void EventFd::ring(int fd) noexcept {
    // A full counter (EAGAIN) is a bell that rings already.
    const std::uint64_t one = 1;
    os::restarting([&] { return ::write(fd, &one, sizeof one); });
}

void EventFd::take() const noexcept {
    std::uint64_t rings = 0;
    os::restarting([&] { return ::read(fd_.get(), &rings, sizeof rings); });
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "os/poll.hpp"

#include "os/check.hpp"
#include "os/spin.hpp"

#include <cerrno>
#include <ctime>

namespace mp::os {

namespace {

std::timespec left(const Deadline& deadline) noexcept {
    const auto ns = deadline.remaining().duration().count();
    return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
}

bool wait_one(int fd, short events, const Deadline& deadline) {
    pollfd one{.fd = fd, .events = events, .revents = 0};
    if (poll({&one, 1}, deadline) == 0) {
        return false;
    }
    if ((one.revents & POLLNVAL) != 0) {
        throw_error(EBADF, "poll");
    }
    return true;
}

}  // namespace

int poll(std::span<pollfd> fds, const Deadline& deadline) {
    return check_restarting("poll", [&] {
        // Each turn asks for what is left, so a storm of signals cannot prolong it.
        if (deadline.is_forever()) {
            return ::ppoll(fds.data(), fds.size(), nullptr, nullptr);
        }
        const std::timespec timeout = left(deadline);
        return ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
    });
}

bool wait_readable(int fd, const Deadline& deadline) {
    return wait_one(fd, POLLIN, deadline);
}

bool wait_soon_readable(int fd, const Deadline& deadline) {
    return (!deadline.expired() && soon_readable(fd, deadline)) ||
           wait_readable(fd, deadline);
}

bool soon_readable(int fd, const Deadline& deadline) noexcept {
    return detail::spin_with_calls(deadline, [fd] {
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        return ::poll(&one, 1, 0) > 0 && (one.revents & POLLNVAL) == 0;
    });
}

bool wait_writable(int fd, const Deadline& deadline) {
    return wait_one(fd, POLLOUT, deadline);
}

}  // namespace mp::os

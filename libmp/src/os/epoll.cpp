// SPDX-License-Identifier: BSL-1.0
#include "os/epoll.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <algorithm>

namespace mp::os {

Epoll::Epoll()
    : fd_(new_fd("epoll_create1", [] { return ::epoll_create1(EPOLL_CLOEXEC); })) {}

void Epoll::control(int operation, int fd, std::uint64_t tag, std::uint32_t events)
    const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    check(::epoll_ctl(fd_.get(), operation, fd, &event), "epoll_ctl");
}

void Epoll::add(int fd, std::uint64_t tag, std::uint32_t events) const {
    control(EPOLL_CTL_ADD, fd, tag, events);
}

void Epoll::modify(int fd, std::uint64_t tag, std::uint32_t events) const {
    control(EPOLL_CTL_MOD, fd, tag, events);
}

void Epoll::remove(int fd) const noexcept {
    ::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

int Epoll::wait(Ready& ready, int milliseconds) const noexcept {
    std::array<epoll_event, max_ready> events{};
    const int count = ::epoll_wait(
        fd_.get(), events.data(), static_cast<int>(events.size()), milliseconds
    );
    ready.count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
    std::transform(
        events.begin(),
        events.begin() + ready.count_,
        ready.tags_.begin(),
        [](const epoll_event& event) { return event.data.u64; }
    );
    return count;
}

Epoll::Ready Epoll::wait(const Deadline& deadline) const {
    std::error_code error;
    Ready ready = wait(deadline, error);
    if (error) {
        throw_error(error.value(), "epoll_wait");
    }
    return ready;
}

Epoll::Ready
Epoll::wait(const Deadline& deadline, std::error_code& error) const noexcept {
    Ready ready;
    const int count =
        restarting([&] { return wait(ready, deadline.poll_milliseconds()); });
    error = count < 0 ? last_error() : std::error_code();
    return ready;
}

Epoll::Ready Epoll::poll() const noexcept {
    Ready ready;
    wait(ready, 0);
    return ready;
}

}  // namespace mp::os

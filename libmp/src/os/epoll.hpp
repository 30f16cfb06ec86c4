// SPDX-License-Identifier: BSL-1.0
// epoll: waits for many descriptors that are told once and watched until they are
// removed. Each has a tag, by which it is reported.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

namespace mp::os {

class Epoll {
public:
    static constexpr std::size_t max_ready = 16;

    /// The tags of what is ready; there may be more.
    class Ready {
    public:
        bool empty() const noexcept { return count_ == 0; }

        std::span<const std::uint64_t> tags() const noexcept {
            return std::span(tags_).first(count_);
        }

    private:
        friend class Epoll;

        std::array<std::uint64_t, max_ready> tags_{};
        std::size_t count_ = 0;
    };

    /// Watches nothing yet; close-on-exec. Throws std::system_error.
    Epoll();

    /// `events` is made of EPOLLIN, EPOLLOUT and EPOLLONESHOT. Throws
    /// std::system_error. The descriptor must be removed before it is closed, unless no
    /// duplicate of it is left.
    void add(int fd, std::uint64_t tag, std::uint32_t events = EPOLLIN) const;
    void modify(int fd, std::uint64_t tag, std::uint32_t events) const;

    /// Fails when it is not watched, which is as well.
    void remove(int fd) const noexcept;

    /// Waits until something is ready; nothing is at the deadline. Signals do not end
    /// it. Throws std::system_error.
    Ready wait(const Deadline& deadline) const;

    /// The same, with an error instead of the exception.
    Ready wait(const Deadline& deadline, std::error_code& error) const noexcept;

    /// What is ready now, without waiting; nothing when the system does not tell.
    Ready poll() const noexcept;

    /// Readable while something is ready.
    int fileno() const noexcept { return fd_.get(); }

    void close() noexcept { fd_.reset(); }

private:
    void control(int operation, int fd, std::uint64_t tag, std::uint32_t events) const;
    int wait(Ready& ready, int milliseconds) const noexcept;

    UniqueFd fd_;
};

}  // namespace mp::os

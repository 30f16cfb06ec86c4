// SPDX-License-Identifier: BSL-1.0
// EventFd: a bell that a thread can wait for in poll() and epoll: its descriptor is
// readable from the first ring on, until the rings are taken.
// Python:  none, because its queues and pools wake each other with pipes.
// Differs: nothing to differ from.
// Threads: any.  Processes: all that have the descriptor.
// Owns:    the descriptor.  Throws: std::system_error when none is to be had.
#pragma once

#include "mp/fd.hpp"

#include <utility>

namespace mp::detail {

class EventFd {
public:
    /// A new one, not rung; close-on-exec.
    EventFd();

    /// One that another process has made.
    explicit EventFd(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    /// Never blocks.
    void ring() const noexcept { ring(fd_.get()); }

    /// For a process that has the number only.
    static void ring(int fd) noexcept;

    /// Takes all rings so far. Never blocks.
    void take() const noexcept;

    int fileno() const noexcept { return fd_.get(); }

    void close() noexcept { fd_.reset(); }

private:
    UniqueFd fd_;
};

}  // namespace mp::detail

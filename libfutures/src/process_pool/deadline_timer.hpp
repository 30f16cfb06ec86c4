// SPDX-License-Identifier: BSL-1.0
// DeadlineTimer: a descriptor that becomes readable at a point in time, for a thread
// that sleeps in epoll.
// Threads: one.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

namespace futures::detail {

class DeadlineTimer {
public:
    DeadlineTimer();

    /// Readable from then on, at once if that is past, never for mp::forever. In place
    /// of what was set before.
    void set(const mp::Deadline& deadline) noexcept;

    /// No longer readable.
    void take() noexcept;

    int fileno() const noexcept { return fd_.get(); }

private:
    mp::UniqueFd fd_;
    mp::Deadline set_{mp::forever};
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// LimitTimer: wakes the manager thread, which sleeps on its descriptor, when something
// is to be done about a task that runs too long, or is to stop.
#pragma once

#include "mp/fd.hpp"

#include <chrono>

namespace futures::detail {

class LimitTimer {
public:
    using Clock = std::chrono::steady_clock;

    LimitTimer();

    /// The manager: at that time, or never (time_point::max()).
    void set(Clock::time_point when) noexcept;

    /// The manager, when it was woken.
    void answer() noexcept;

    int fileno() const noexcept { return fd_.get(); }

private:
    mp::UniqueFd fd_;
};

}  // namespace futures::detail

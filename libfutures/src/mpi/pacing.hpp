// SPDX-License-Identifier: BSL-1.0
// Pacing: how a thread waits for messages that only looking finds. It looks without
// sleeping for a while after the last event, then sleeps, longer and longer, up to a
// ceiling.
// Threads: one.
#pragma once

#include "mp/timeout.hpp"

#include "mpi/bell.hpp"
#include "os/spin.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>

namespace futures::detail {

/// While it lives, this thread's sleeps end when they should: Linux lets others be up
/// to 50 us late.
class PunctualThread {
public:
    PunctualThread() noexcept : before_(::prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)) {
        constexpr unsigned long nanoseconds = 1000;
        ::prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0);
    }

    ~PunctualThread() {
        ::prctl(
            PR_SET_TIMERSLACK, static_cast<unsigned long>(std::max(before_, 0)), 0, 0, 0
        );
    }

    PunctualThread(const PunctualThread&) = delete;
    PunctualThread& operator=(const PunctualThread&) = delete;

private:
    const int before_;
};

class Pacing {
public:
    using Clock = std::chrono::steady_clock;

    Pacing(const mp::Timeout& spin, const mp::Timeout& ceiling) noexcept
        : spin_(spin.duration()), ceiling_(ceiling.duration()) {}

    /// Something has come, or is about to.
    void event() noexcept {
        is_quiet_ = false;
        step_ = first_step;
    }

    /// Waits a little, or until the bell rings. Sleeps until the bell, or `latest`,
    /// where nothing can come otherwise. Something long that `is_under_way` needs many
    /// looks to come.
    void pause(
        Bell& bell, bool is_polled, bool is_under_way, const mp::Deadline& latest
    ) noexcept {
        if (bell.is_rung()) {
            bell.silence();
            return;
        }
        if (!is_polled) {
            bell.wait(latest);
            return;
        }
        const auto now = Clock::now();
        if (!is_quiet_) {
            is_quiet_ = true;
            quiet_since_ = now;
        }
        // There are more ranks than processors, often. Where a yield takes long, others
        // need the processor, and who sleeps gets it sooner.
        auto& history = mp::detail::SpinHistory::of_calls();
        if (now - quiet_since_ < spin_ && history.may_yield()) {
            history.yield([] { return false; });
            return;
        }
        if (is_under_way) {
            // One that takes very long waits for a rank that does something else.
            bell.wait(latest.sooner(
                now - quiet_since_ < long_wait ? first_step : step_under_way
            ));
            return;
        }
        bell.wait(latest.sooner(step_));
        step_ = std::min<std::chrono::nanoseconds>(2 * step_, ceiling_);
    }

private:
    static constexpr std::chrono::nanoseconds first_step{5000};
    static constexpr std::chrono::nanoseconds step_under_way{50'000};
    static constexpr std::chrono::milliseconds long_wait{100};

    std::chrono::nanoseconds spin_;
    std::chrono::nanoseconds ceiling_;
    bool is_quiet_ = false;
    Clock::time_point quiet_since_;
    std::chrono::nanoseconds step_ = first_step;
};

}  // namespace futures::detail

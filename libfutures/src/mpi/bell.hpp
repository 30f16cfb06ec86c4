// SPDX-License-Identifier: BSL-1.0
// Bell: wakes a thread that waits for messages, which may come from elsewhere as well.
// Threads: one waits, any rings.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include <atomic>

namespace futures::detail {

class Bell {
public:
    /// Ends the wait that is under way, or the next one at once.
    void ring() noexcept {
        if (rung_.exchange(1) == 0 && sleeping_.load()) {
            mp::detail::futex_wake(rung_, 1, mp::detail::FutexScope::process);
        }
    }

    bool is_rung() const noexcept { return rung_.load() != 0; }

    /// Sleeps until it is rung, or the deadline; it is silent afterwards.
    void wait(const mp::Deadline& deadline) noexcept {
        // Before the look at the word: whoever rings later sees it.
        sleeping_.store(true);
        while (!is_rung() && mp::detail::futex_wait(
                                 rung_, 0, deadline, mp::detail::FutexScope::process
                             )) {
        }
        sleeping_.store(false);
        silence();
    }

    /// The same without sleeping. What was done before it rang is visible then.
    void silence() noexcept { rung_.exchange(0); }

private:
    mp::detail::FutexWord rung_{0};
    std::atomic<bool> sleeping_{false};
};

}  // namespace futures::detail

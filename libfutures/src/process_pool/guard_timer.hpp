// SPDX-License-Identifier: BSL-1.0
// GuardTimer: a tick for the manager thread, which sleeps on its descriptor.
#pragma once

#include "mp/fd.hpp"

#include <atomic>
#include <chrono>

namespace futures::detail {

/// A tick, only while a thread asks for the next one: an idle pool has none.
class GuardTimer {
public:
    static constexpr std::chrono::milliseconds interval{20};

    GuardTimer();

    /// Any thread. Starts the tick if it does not run.
    void arm() noexcept {
        // order: a stale answer only costs an exchange, or is corrected by the tick
        // that still runs.
        if (!armed_.load(std::memory_order_relaxed) && !armed_.exchange(true)) {
            start();
        }
    }

    /// The manager, at a tick: call `again()` or `stop()`.
    void answer() noexcept;

    void again() noexcept { start(); }

    void stop() noexcept { armed_.store(false); }

    int fileno() const noexcept { return fd_.get(); }

private:
    void start() noexcept;

    mp::UniqueFd fd_;
    std::atomic<bool> armed_{false};
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// Doorbell and GuardTimer: the two descriptors on which the manager thread sleeps,
// besides its workers' pidfds.
#pragma once

#include "mp/fd.hpp"

#include <atomic>
#include <chrono>

namespace futures::detail {

/// An eventfd. Workers ring it too, so they get a copy of the descriptor.
class Doorbell {
public:
    Doorbell();

    void ring() noexcept { ring(fd_.get()); }

    static void ring(int fd) noexcept;

    /// Takes all rings so far.
    void answer() noexcept;

    int fileno() const noexcept { return fd_.get(); }

private:
    mp::UniqueFd fd_;
};

/// A tick, only while somebody asks for the next one: an idle pool has none.
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

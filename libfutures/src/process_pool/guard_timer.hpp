// SPDX-License-Identifier: BSL-1.0
// GuardTimer: a tick for the manager thread, which sleeps on its descriptor.
#pragma once

#include "mp/fd.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace futures::detail {

/// A tick, only while a thread asks for the next one: an idle pool has none. Behind the
/// last one it rests: one tick more tells that the pool was idle for a while, and that
/// its memory may go back to the system.
class GuardTimer {
public:
    static constexpr std::chrono::milliseconds interval{20};
    static constexpr std::chrono::milliseconds rest_interval{700};

    /// `trim_threshold`: see given_back().
    explicit GuardTimer(std::uint64_t trim_threshold = 0);

    /// Any thread. Starts the tick if it does not run.
    void arm() noexcept {
        // order: a stale answer only costs an exchange, or is corrected by the tick
        // that still runs.
        if (!armed_.load(std::memory_order_relaxed) && !armed_.exchange(true)) {
            start();
        }
    }

    /// The manager, at a tick: call `again()` or `rest()`.
    void answer() noexcept;

    void again() noexcept { start(); }

    /// No tick any more, unless someone asks for one, but the one at the end of a rest.
    void rest() noexcept;

    /// Whether this tick is the one at the end of a rest in which no one asked for one.
    bool rested() noexcept { return resting_ && !armed_.load(); }

    /// The rest is over and the memory was given back: idle from now on, until busy().
    void idle() noexcept;
    void busy() noexcept;

    /// Any thread: so many bytes of a message came free. While the pool is idle, more
    /// than `trim_threshold` of them ask for a tick, and so for another rest.
    void given_back(std::uint64_t bytes) noexcept {
        // order: a hint; what comes free just when the pool becomes idle is less than
        // the next that does.
        if (idle_.load(std::memory_order_relaxed)) {
            count(bytes);
        }
    }

    std::uint64_t trim_threshold() const noexcept { return trim_threshold_; }

    int fileno() const noexcept { return fd_.get(); }

private:
    void start() noexcept;
    void start(std::chrono::nanoseconds after) noexcept;
    void count(std::uint64_t bytes) noexcept;

    const std::uint64_t trim_threshold_;
    mp::UniqueFd fd_;
    std::atomic<bool> armed_{false};
    std::atomic<bool> idle_{false};
    std::atomic<std::uint64_t> given_back_{0};  ///< since the pool is idle

    // The manager's own.
    bool resting_ = false;
};

}  // namespace futures::detail

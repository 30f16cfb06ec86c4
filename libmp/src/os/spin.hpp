// SPDX-License-Identifier: BSL-1.0
// Spin: how long a thread looks again before it sleeps. A wake-up across CPUs costs
// tens of microseconds, a look at a word nanoseconds; but on a busy machine spinning
// steals the CPU from the one who is waited for. So: a few pauses if they helped
// lately, then yields, each timed, and after a slow one (beside a CPU hog a yield gives
// away a whole time slice) no spinning for a while.
#pragma once

#include "mp/timeout.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>

namespace mp::detail {

inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

/// Whether others did much since it was asked last: then a thread that gave them its
/// CPU spent the time well, however long it took.
class Progress {
public:
    /// Nothing counts what they do: they never did much.
    Progress() noexcept = default;

    /// `done` counts it, and only grows. order: relaxed, as below.
    explicit Progress(const std::atomic<std::uint64_t>& done) noexcept
        : done_(&done), seen_(done.load(std::memory_order_relaxed)) {}

    bool is_great() noexcept {
        if (done_ == nullptr) {
            return false;
        }
        // order: relaxed, a hint whether to look on.
        const std::uint64_t now = done_->load(std::memory_order_relaxed);
        return now - std::exchange(seen_, now) >= 32;
    }

private:
    const std::atomic<std::uint64_t>* done_ = nullptr;
    std::uint64_t seen_ = 0;
};

/// What one thread learned about spinning, from one search to the next.
class SpinHistory {
public:
    using Clock = std::chrono::steady_clock;

    static SpinHistory& of_this_thread() noexcept {
        thread_local SpinHistory history;
        return history;
    }

    /// For looks that are system calls: what helps there says nothing of the others.
    static SpinHistory& of_calls() noexcept {
        thread_local SpinHistory history;
        return history;
    }

    /// Pauses pay only with a second CPU, and only after they helped lately; every
    /// 16th search tries again.
    int pauses() noexcept {
        static const bool several_cpus = std::thread::hardware_concurrency() > 1;
        return several_cpus && worthwhile() ? 100 : 0;
    }

    void paused(bool found) noexcept { misses_ = found ? 0 : std::min(misses_ + 1, 2); }

    bool worthwhile() noexcept { return misses_ < 2 || ++searches_ % 16 == 0; }

    bool may_yield() const noexcept {
        return quiet_until_ == Clock::time_point() || Clock::now() >= quiet_until_;
    }

    /// One sched_yield(); false when it was so slow that spinning must end, because
    /// those who had the CPU had it for something else.
    bool yield(Progress& progress) noexcept {
        const auto before = Clock::now();
        sched_yield();
        const auto after = Clock::now();
        if (after - before < std::chrono::milliseconds(1) || progress.is_great()) {
            return true;
        }
        quiet_until_ = after + std::chrono::milliseconds(10);
        return false;
    }

private:
    int misses_ = 0;
    unsigned searches_ = 0;
    Clock::time_point quiet_until_;
};

/// Looks until `found()`; false when it is time to sleep. With `longest_pause` it looks
/// less and less often, up to so many pauses apart: whoever works towards it is held up
/// by each look, because both touch the same line.
template <class Found>
bool spin(Found found, int longest_pause = 1, Progress progress = {}) {
    auto& history = SpinHistory::of_this_thread();
    if (!history.may_yield()) {
        return found();
    }
    if (const int pauses = history.pauses(); pauses > 0) {
        int step = 1;
        for (int i = 0; i < pauses;
             i += step, step = std::min(2 * step, longest_pause)) {
            if (found()) {
                history.paused(true);
                return true;
            }
            for (int pause = 0; pause < step; ++pause) {
                cpu_relax();
            }
        }
        history.paused(false);
    }
    for (int i = 0; i < 100; ++i) {
        if (found()) {
            return true;
        }
        if (!history.yield(progress)) {
            break;
        }
    }
    return found();
}

/// The same for looks that are system calls: some tens of microseconds where nobody
/// else wants the CPU, and hardly any where it did not help lately. False when it is
/// time to sleep, or too late for that.
template <class Found>
bool spin_with_calls(const Deadline& deadline, Found found) {
    auto& history = SpinHistory::of_calls();
    if (!history.may_yield() || !history.worthwhile()) {
        return false;
    }
    Progress unknown;
    for (int i = 0; i < 64; ++i) {
        if (found()) {
            history.paused(true);
            return true;
        }
        if (!history.yield(unknown) || deadline.expired()) {
            break;
        }
    }
    history.paused(false);
    return false;
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// The wait policy: pause while the other side runs on another CPU, yield while work is
// near, sleep when neither helps. A wake across CPUs costs a hundred times a hand-over
// to somebody who still looks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace futures::detail {

struct WaitPolicy {
    int pauses = 100;
    int yields = 100;
    /// A worker tells of a finished task after so many idle pauses, if no next task
    /// came.
    int untold_pauses = 20;
};

/// Says to the CPU that this is a loop that waits.
inline void pause_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// Pauses pay only if the other side runs on another CPU right now: after two searches
/// in which they did not help they are left out, and tried again now and then.
class PauseBudget {
public:
    int allowed(int configured) noexcept {
        return misses_ < 2 || (++searches_ & 15U) == 0 ? configured : 0;
    }

    void report(bool found_while_pausing, bool had_pauses) noexcept {
        if (found_while_pausing) {
            misses_ = 0;
        } else if (had_pauses) {
            ++misses_;
        }
    }

private:
    std::uint32_t misses_ = 0;
    std::uint32_t searches_ = 0;
};

/// Yields, and notices when that was expensive: beside a program that uses its whole
/// slice, one sched_yield() can cost milliseconds, while a sleeper that is woken runs
/// at once. Believed for 10 ms.
class TimedYield {
public:
    using Clock = std::chrono::steady_clock;

    bool worthwhile() noexcept;

    /// Returns true if the yield took too long.
    bool was_slow() noexcept;

    /// The CPU was given to our own side: no reason to stop yielding.
    void forgive() noexcept { avoid_until_ = {}; }

private:
    Clock::time_point avoid_until_{};
};

/// Two processes that hand over to each other by yielding on ONE CPU stay there: nobody
/// sleeps, so the kernel places nobody anew, and each hand-over costs ten times as
/// much. A worker that finds its tasks so, again and again, leaves the submitter's CPU.
class StepAside {
public:
    /// Tell of a task found; `while_yielding`: in the yields, not before.
    void found(bool while_yielding, int submitter_cpu) noexcept;

private:
    void leave(int cpu) noexcept;

    int streak_ = 0;
    TimedYield::Clock::time_point last_{};
};

/// A full fence, which the thread sanitizer understands too.
inline void full_fence() noexcept {
#if defined(__SANITIZE_THREAD__)
    static std::atomic<int> word{0};
    word.fetch_add(0);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// The CPU that the caller runs on.
int current_cpu() noexcept;

void yield_cpu() noexcept;

}  // namespace futures::detail

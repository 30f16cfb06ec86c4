// SPDX-License-Identifier: BSL-1.0
// Spin: how long a thread looks again before it sleeps. A wake-up across CPUs costs
// tens of microseconds, a look at a word nanoseconds; but on a busy machine spinning
// takes the CPU from the very thread that is waited for. So: a few pauses if they
// helped lately, then yields, each timed, and after a slow one (beside a CPU hog a
// yield gives away a whole time slice) no spinning for a while. Everything that waits
// in this library looks by these rules; docs/decisions/004-look-before-sleeping.md has
// the reasons.
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

/// Tells the CPU that this is a loop that waits.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    // A yield takes next to no time there; this takes about as long as a pause on x86.
    asm volatile("isb" ::: "memory");
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

    bool operator()() noexcept {
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

    /// After two searches without success only every 16th one is tried.
    bool worthwhile() noexcept { return misses_ < 2 || ++searches_ % 16 == 0; }

    void learn(bool found) noexcept { misses_ = found ? 0 : std::min(misses_ + 1, 2); }

    bool may_yield() const noexcept {
        return quiet_until_ == Clock::time_point() || Clock::now() >= quiet_until_;
    }

    /// One sched_yield(); false when it was so slow that spinning must end, because
    /// those who had the CPU had it for something else: `well_spent()` denies that they
    /// worked for us. It is asked after a slow yield only.
    template <class WellSpent>
    bool yield(WellSpent&& well_spent) noexcept {
        // Our own peers, too, run for longer than 100 us; a hog's slice is 3 ms.
        constexpr std::chrono::milliseconds slow(1);
        constexpr std::chrono::milliseconds believed_for(10);
        const auto before = Clock::now();
        sched_yield();
        const auto after = Clock::now();
        if (after - before < slow || well_spent()) {
            return true;
        }
        quiet_until_ = after + believed_for;
        return false;
    }

private:
    int misses_ = 0;
    unsigned searches_ = 0;
    Clock::time_point quiet_until_;
};

struct SpinPolicy {
    /// Pauses pay only with a second CPU, and where they helped lately.
    int pauses = 100;
    int yields = 100;
    /// Above 1 it looks less and less often, up to so many pauses apart: whoever works
    /// towards it is held up by each look, because both touch the same line.
    int longest_pause = 1;
    /// Pauses always, whether they helped lately or not.
    bool always_pause = false;
    /// So many pauses, and nothing else, while yields are known to be slow.
    int quiet_pauses = 0;
};

/// One search: what a thread does between two looks.
///     Search search(history);
///     do { if (found()) { search.found(); break; } } while (search.again());
class Search {
public:
    explicit Search(SpinHistory& history, const SpinPolicy& policy = {}) noexcept
        : history_(history), longest_pause_(policy.longest_pause) {
        if (!history.may_yield()) {
            pauses_ = policy.quiet_pauses;
            return;
        }
        yields_ = policy.yields;
        if (policy.always_pause) {
            pauses_ = policy.pauses;
        } else if (policy.pauses > 0 && several_cpus() && history.worthwhile()) {
            pauses_ = policy.pauses;
            learning_ = true;
        }
    }

    /// Pauses or yields, as it is time for; false when it is time to sleep.
    template <class WellSpent>
    bool again(WellSpent&& well_spent) noexcept {
        if (pauses_ > 0) {
            for (int pause = 0; pause < step_; ++pause) {
                cpu_relax();
            }
            pauses_ -= step_;
            step_ = std::min(2 * step_, longest_pause_);
            return true;
        }
        if (std::exchange(learning_, false)) {
            history_.learn(false);
        }
        if (yields_ <= 0) {
            return false;
        }
        --yields_;
        yielding_ = true;
        last_look_due_ = !history_.yield(std::forward<WellSpent>(well_spent));
        return !last_look_due_;
    }

    bool again() noexcept { return again(Progress()); }

    /// What was looked for is there.
    void found() noexcept {
        if (!yielding_) {
            history_.learn(true);
        }
    }

    /// A yield ended the search, and nobody has looked since.
    bool last_look_due() const noexcept { return last_look_due_; }

    /// Whether pauses were not enough.
    bool yielding() const noexcept { return yielding_; }

private:
    static bool several_cpus() noexcept {
        static const bool several = std::thread::hardware_concurrency() > 1;
        return several;
    }

    SpinHistory& history_;
    const int longest_pause_;
    int pauses_ = 0;
    int yields_ = 0;
    int step_ = 1;
    bool learning_ = false;
    bool yielding_ = false;
    bool last_look_due_ = false;
};

/// Looks until `found()`; false when it is time to sleep.
template <class Found>
bool spin(Found found, int longest_pause = 1, Progress progress = {}) {
    Search search(
        SpinHistory::of_this_thread(), SpinPolicy{.longest_pause = longest_pause}
    );
    do {
        if (found()) {
            search.found();
            return true;
        }
    } while (search.again(progress));
    return search.last_look_due() && found();
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
    Search search(history, SpinPolicy{.pauses = 0, .yields = 63});
    do {
        if (found()) {
            history.learn(true);
            return true;
        }
    } while (search.again() && !deadline.expired());
    history.learn(false);
    return false;
}

}  // namespace mp::detail

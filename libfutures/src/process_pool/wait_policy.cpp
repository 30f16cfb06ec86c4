// SPDX-License-Identifier: BSL-1.0
#include "process_pool/wait_policy.hpp"

#include <sched.h>

namespace futures::detail {

using namespace std::chrono_literals;

namespace {

/// Own peers also run for longer than 100 us; a hog's slice is 3 ms.
constexpr auto slow_yield = 1ms;
constexpr auto believed_for = 10ms;

constexpr int streak_to_leave = 8;
constexpr auto leave_every = 20ms;

}  // namespace

bool TimedYield::worthwhile() noexcept {
    if (avoid_until_ == Clock::time_point{}) {
        return true;
    }
    if (Clock::now() < avoid_until_) {
        return false;
    }
    avoid_until_ = {};
    return true;
}

bool TimedYield::was_slow() noexcept {
    const auto before = Clock::now();
    sched_yield();
    const auto after = Clock::now();
    if (after - before < slow_yield) {
        return false;
    }
    avoid_until_ = after + believed_for;
    return true;
}

void StepAside::found(bool while_yielding, int submitter_cpu) noexcept {
    if (!while_yielding || submitter_cpu != current_cpu()) {
        streak_ = 0;
        return;
    }
    if (++streak_ < streak_to_leave) {
        return;
    }
    streak_ = 0;
    const auto now = TimedYield::Clock::now();
    if (now - last_ >= leave_every) {
        last_ = now;
        leave(submitter_cpu);
    }
}

void StepAside::leave(int cpu) noexcept {
    cpu_set_t all;
    if (cpu < 0 || sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2) {
        return;
    }
    cpu_set_t others = all;
    CPU_CLR(static_cast<std::size_t>(cpu), &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
        sched_setaffinity(0, sizeof all, &all);  // it moved; nothing else changes
    }
}

int current_cpu() noexcept {
    return sched_getcpu();
}

void yield_cpu() noexcept {
    sched_yield();
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/step_aside.hpp"

#include <sched.h>

#include <cstddef>

namespace futures::detail {

using namespace std::chrono_literals;

namespace {

constexpr int streak_to_leave = 8;
constexpr auto leave_every = 20ms;

}  // namespace

int current_cpu() noexcept {
    return sched_getcpu();
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
    const auto now = std::chrono::steady_clock::now();
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

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// StepAside: two processes that hand over to each other by yielding on ONE CPU stay
// there: nobody sleeps, so the kernel places nobody anew, and each hand-over costs ten
// times as much. A worker that finds its tasks so, again and again, leaves the
// submitter's CPU.
#pragma once

#include <chrono>

namespace futures::detail {

/// The CPU that the caller runs on.
int current_cpu() noexcept;

class StepAside {
public:
    /// Tell of a task found; `while_yielding`: in the yields, not before.
    void found(bool while_yielding, int submitter_cpu) noexcept;

private:
    void leave(int cpu) noexcept;

    int streak_ = 0;
    std::chrono::steady_clock::time_point last_{};
};

}  // namespace futures::detail

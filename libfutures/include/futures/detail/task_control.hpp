// SPDX-License-Identifier: BSL-1.0
// TaskControl: what was said of one task of a process pool beside the call.
// Python:  none; see SubmitOptions.
// Differs: nothing to differ from.
// Threads: set before the task is submitted; the manager's own after that.
#pragma once

#include "futures/detail/recycle.hpp"
#include "futures/submit_options.hpp"
#include "mp/timeout.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace mp::detail {
class ByteWriter;
}

namespace futures::detail {

inline constexpr std::chrono::milliseconds usual_kill_after{500};

struct TaskControl : Recycled {
    using Clock = std::chrono::steady_clock;

    explicit TaskControl(SubmitOptions& options)
        : limit(options.timeout),
          grace(options.grace),
          kill_after(options.kill_after.value_or(usual_kill_after)),
          priority(options.priority),
          name(std::move(options.name)) {}

    /// Whether options say anything that a task must remember.
    static bool is_needed(const SubmitOptions& options) noexcept {
        return !options.timeout.is_forever() || !options.name.empty() ||
               options.kill_after || options.priority != 0 ||
               options.grace.duration() != std::chrono::nanoseconds::zero();
    }

    mp::Timeout limit;
    mp::Timeout grace;
    mp::Timeout kill_after;
    int priority;  ///< for what the task submits
    std::string name;
    Clock::time_point submitted = Clock::now();

    // The manager's own: where the task stood when a worker was seen to have it, and
    // since when.
    std::uint64_t seen_position = ~std::uint64_t{0};
    Clock::time_point started{};
};

/// Appends to an encoded call what its worker is to know of it.
void write_trailer(mp::detail::ByteWriter& out, const TaskControl& control);

}  // namespace futures::detail

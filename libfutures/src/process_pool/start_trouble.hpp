// SPDX-License-Identifier: BSL-1.0
// StartTrouble: what a pool makes of workers that cannot be started, or die before they
// can run anything.
//   ended    the new process was killed, or ended: as with any worker that dies,
//            another one is started, but not for ever.
//   shortage the system has no room for one now (EAGAIN, ENOMEM, EMFILE ...): it is
//            asked again a few times, later and later.
//   refused  what a new attempt does not cure: no such program, another build of it.
// Python:  none; there the pool is broken, or waits for ever.
// Threads: none of its own; the manager's.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>

namespace futures::detail {

enum class StartFailure : std::uint8_t { ended, shortage, refused };

class StartTrouble {
public:
    using Clock = std::chrono::steady_clock;

    /// How the new process ended, where that is why it did not start.
    static StartFailure kind_of(const std::exception_ptr& failure) noexcept;

    /// Whether somebody killed the process, rather than that it ended by itself: by
    /// what it threw, by a crash, or by a main() that knows nothing of children.
    static bool was_killed(std::optional<int> exitcode) noexcept;
    static bool was_killed(const std::exception_ptr& failure) noexcept;

    /// How a worker ended before its first task.
    enum class End : std::uint8_t {
        by_itself,
        killed,
        killed_in_initializer,  ///< which may be why
    };

    /// A worker ended so. False when they are too many in a row.
    bool ended(End how) noexcept;

    /// No worker is there, and none could be started. When to try again; nothing: give
    /// up.
    std::optional<Clock::time_point> shortage(Clock::time_point now) noexcept;

    /// A worker can run tasks: all is well.
    void began() noexcept {
        weight_ = 0;
        deaths_ = 0;
        shortages_ = 0;
    }

    /// How many ended in a row.
    std::uint32_t deaths() const noexcept { return deaths_; }

private:
    std::uint32_t weight_ = 0;
    std::uint32_t deaths_ = 0;
    std::uint32_t shortages_ = 0;
};

}  // namespace futures::detail

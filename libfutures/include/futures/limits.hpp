// SPDX-License-Identifier: BSL-1.0
// Limits: how much of the machine a task of a process pool may use.
// Python:  resource.setrlimit, called in an initializer.
// Differs: they hold for each task, and a task that goes beyond one fails alone.
// Threads: any; it is a value.
#pragma once

#include "mp/units.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace futures {

/// `{.memory = 512 * mp::MiB, .cpu_time = 10s}`, for one task, or of a pool, for each
/// task that does not say its own. They are limits of the system for the task's
/// process, and what they allow is less where it has stricter ones.
struct Limits {
    /// How many bytes a task may have besides what its worker has when the task begins:
    /// an allocation beyond that throws std::bad_alloc, and if the task lets that
    /// through its future raises mp::ResourceLimitExceeded. Memory that processes share
    /// does not count. A call that is longer than that when it is encoded is not sent
    /// to a worker: its future raises the same. More than 0.
    std::optional<std::uint64_t> memory = {};
    /// How much processor time, of all its threads together. Then the worker gets
    /// SIGXCPU, which ends it: the future raises mp::ResourceLimitExceeded, no other
    /// task is harmed, the pool does not break. A task that handles that signal gets it
    /// again each second. More than 0.
    std::optional<std::chrono::nanoseconds> cpu_time = {};
    /// How many descriptors there may be in its process; more is EMFILE, which is the
    /// task's own error.
    std::optional<std::uint64_t> open_files = {};
    /// How many bytes long a file may become by it. Writing more is SIGXFSZ, which ends
    /// the worker: mp::ResourceLimitExceeded, as for `cpu_time`. A task that ignores
    /// the signal gets EFBIG.
    std::optional<std::uint64_t> file_size = {};
    /// How many processes and threads its user may have when it makes one; more is
    /// EAGAIN, which is the task's own error. Does not hold for root.
    std::optional<std::uint64_t> processes = {};

    /// Whether there is one.
    bool any() const noexcept {
        return memory || cpu_time || open_files || file_size || processes;
    }
};

namespace detail {

/// Throws std::invalid_argument for a limit that leaves nothing.
void check_limits(const Limits& limits);

/// What `own` says, and what `others` say beside.
Limits combined(const Limits& own, const Limits& others) noexcept;

}  // namespace detail
}  // namespace futures

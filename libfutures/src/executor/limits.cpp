// SPDX-License-Identifier: BSL-1.0
#include "futures/limits.hpp"

#include <stdexcept>

namespace futures::detail {

void check_limits(const Limits& limits) {
    if (limits.memory && *limits.memory == 0) {
        throw std::invalid_argument("limits.memory must be more than 0 bytes");
    }
    if (limits.cpu_time && *limits.cpu_time <= std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument("limits.cpu_time must be more than 0 seconds");
    }
}

Limits combined(const Limits& own, const Limits& others) noexcept {
    Limits both = own;
    both.memory = own.memory ? own.memory : others.memory;
    both.cpu_time = own.cpu_time ? own.cpu_time : others.cpu_time;
    both.open_files = own.open_files ? own.open_files : others.open_files;
    both.file_size = own.file_size ? own.file_size : others.file_size;
    both.processes = own.processes ? own.processes : others.processes;
    return both;
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "mp/cpu_count.hpp"

#include "os/control_group.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace mp {
namespace {

int affinity_count(int all) {
    // A machine may have more processors than the fixed-size set can name.
    for (int room = std::max(all, CPU_SETSIZE); room <= (1 << 20); room *= 2) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(room));
        if (set == nullptr) {
            return all;
        }
        const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(room));
        const bool known = ::sched_getaffinity(0, size, set) == 0;
        const int count = known ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (known) {
            return count;
        }
    }
    return all;
}

/// What the variable says, where that is a number of processors; else `all`.
int cap_count(int all) {
    const char* const text = std::getenv("LIBMP_MAX_CPU_COUNT");
    if (text == nullptr) {
        return all;
    }
    int count = 0;
    const char* const end = text + std::strlen(text);
    const auto read = std::from_chars(text, end, count);
    return read.ec == std::errc() && read.ptr == end && count > 0 ? count : all;
}

}  // namespace

int cpu_count() noexcept {
    const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? static_cast<int>(count) : 1;
}

int usable_cpu_count() noexcept {
    const int all = cpu_count();
    try {
        const int allowed = std::min(
            {affinity_count(all), cap_count(all), os::cpus_in_control_groups(all)}
        );
        return std::max(1, allowed);
    } catch (...) {
        // No memory for a file name: the machine's number is the best answer left.
        return all;
    }
}

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
#include "mp/cpu_count.hpp"

#include "os/control_group.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <locale>
#include <string>

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

// The tightest "quota period" on the way up; `all` where there is none.
int quota_count(int all) {
    std::string group = os::control_group();
    int least = all;
    while (!group.empty()) {
        std::ifstream file("/sys/fs/cgroup" + (group == "/" ? "" : group) + "/cpu.max");
        file.imbue(std::locale::classic());
        double quota = 0;
        double period = 0;
        if (file >> quota >> period && period > 0) {
            const double cpus = quota / period;
            const int whole = static_cast<int>(cpus);
            least = std::min(least, std::max(1, whole + (cpus > whole ? 1 : 0)));
        }
        group = group == "/" ? "" : group.substr(0, group.rfind('/'));
        if (group.empty()) {
            break;
        }
    }
    return least;
}

}  // namespace

int cpu_count() noexcept {
    const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? static_cast<int>(count) : 1;
}

int usable_cpu_count() noexcept {
    const int all = cpu_count();
    try {
        return std::max(1, std::min(affinity_count(all), quota_count(all)));
    } catch (...) {
        // No memory for a file name: the machine's number is the best answer left.
        return all;
    }
}

}  // namespace mp

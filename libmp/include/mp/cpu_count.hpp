// SPDX-License-Identifier: BSL-1.0
// cpu_count: how many processors there are, and how many this process may use.
// Python:  multiprocessing.cpu_count, os.process_cpu_count.
// Differs: usable_cpu_count() also knows the limit of the control group (a container's
//          CPU quota), which Python's does not look at. PYTHON_CPU_COUNT is called
//          LIBMP_MAX_CPU_COUNT, and only makes it less.
// Threads: any.
#pragma once

namespace mp {

/// The processors of the machine that are on-line; at least 1.
int cpu_count() noexcept;

/// The processors this process may use: its affinity mask, its control groups' quota,
/// rounded up, and the environment variable LIBMP_MAX_CPU_COUNT, the least of them; at
/// least 1. Read anew at each call. A variable that is no number above 0 does not
/// count.
int usable_cpu_count() noexcept;

}  // namespace mp

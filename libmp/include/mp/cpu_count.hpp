// SPDX-License-Identifier: BSL-1.0
// cpu_count: how many processors there are, and how many this process may use.
// Python:  multiprocessing.cpu_count, os.process_cpu_count.
// Differs: usable_cpu_count() also knows the limit of the control group (a container's
//          CPU quota), which Python's does not look at.
// Threads: any.
#pragma once

namespace mp {

/// The processors of the machine that are on-line; at least 1.
int cpu_count() noexcept;

/// The processors this process may use: its affinity mask and its control group's
/// quota, rounded up; at least 1. Read anew at each call.
int usable_cpu_count() noexcept;

}  // namespace mp

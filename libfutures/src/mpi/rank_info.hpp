// SPDX-License-Identifier: BSL-1.0
// RankInfo: where a rank runs, as the master knows it.
// Threads: values.
#pragma once

#include <sys/types.h>

#include <string>

namespace futures::detail {

struct RankInfo {
    int rank = 0;
    int size = 1;  ///< of the job
    std::string host;
    pid_t pid = 0;
    int neighbours = 1;  ///< ranks of the job on the same host, this one included

    /// "rank 2 of 4 on host node7, pid 4711": for what it tells of its tasks.
    std::string where() const {
        return "rank " + std::to_string(rank) + " of " + std::to_string(size) +
               " on host " + host + ", pid " + std::to_string(pid);
    }
};

}  // namespace futures::detail

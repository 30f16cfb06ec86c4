// SPDX-License-Identifier: BSL-1.0
// Pools that cannot have as many workers as they want. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/process.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

void allow_processes(rlim_t count) {
    rlimit limit{};
    getrlimit(RLIMIT_NPROC, &limit);
    limit.rlim_cur = std::min(count, limit.rlim_max);
    setrlimit(RLIMIT_NPROC, &limit);
}

/// In a process whose user has no other one.
int use_with_few_processes(int workers, rlim_t allowed) {
    constexpr uid_t nobody_else = 61'235;
    const test::LogCapture log;
    const auto context = mp::get_context("fork");
    if (setuid(nobody_else) != 0) {
        return 1;
    }
    // What is made once.
    ProcessPoolExecutor(on(context, 1)).submit(inc, 1).result();
    const int before = test::open_descriptors();
    {
        ProcessPoolExecutor pool(on(context, workers, OnWorkerLoss::isolate));
        allow_processes(allowed);
        try {
            if (pool.submit(inc, 1).result(60s) != 2) {
                return 2;
            }
        } catch (const std::exception& error) {
            if (std::strstr(error.what(), "Resource temporarily unavailable") ==
                nullptr) {
                return 3;
            }
            if (!mp::active_children().empty()) {
                return 4;
            }
        }
        allow_processes(RLIM_INFINITY);
        pool.reset();
        if (pool.submit(inc, 2).result(60s) != 3) {
            return 5;
        }
    }
    return test::open_descriptors() == before && mp::active_children().empty() ? 0 : 6;
}

}  // namespace

// The limit is a user's, and root has none.
TEST_CASE(
    "H5 H10: where not all workers can be had there are fewer, or an error that leaves "
    "none",
    "[faults][no-asan][no-tsan]"
) {
    if (::geteuid() != 0) {
        WARN("left out: only root can become a user without processes");
        return;
    }
    const int workers = GENERATE(1, 2, 8);
    for (int allowed = 1; allowed <= workers + 2; ++allowed) {
        CAPTURE(workers, allowed);
        const int status = test::run_in_fork([&] {
            return use_with_few_processes(workers, static_cast<rlim_t>(allowed));
        });
        CHECK(status == 0);
    }
}

// SPDX-License-Identifier: BSL-1.0
#include "futures/process_pool.hpp"

#include "mp/errors.hpp"

#include "process_pool/process_pool_core.hpp"

#include <signal.h>

namespace futures {

ProcessPoolExecutor::ProcessPoolExecutor(ProcessPoolOptions options)
    : RemoteExecutor(std::make_shared<detail::ProcessPool>(std::move(options))) {}

ProcessPoolExecutor::ProcessPoolExecutor(Count max_workers)
    : ProcessPoolExecutor(ProcessPoolOptions{.max_workers = max_workers}) {}

detail::ProcessPool& ProcessPoolExecutor::pool() const {
    return static_cast<detail::ProcessPool&>(*pool_);
}

// One that was moved from has no workers, and nothing to end.

void ProcessPoolExecutor::shutdown(ShutdownOptions options) {
    if (pool_) {
        pool().shutdown(options);
    }
}

void ProcessPoolExecutor::terminate_workers() {
    if (pool_) {
        pool().force_shutdown(SIGTERM);
    }
}

void ProcessPoolExecutor::kill_workers() {
    if (pool_) {
        pool().force_shutdown(SIGKILL);
    }
}

void ProcessPoolExecutor::resize(Count max_workers) {
    check_accepting();
    pool().resize(max_workers);
}

void ProcessPoolExecutor::bootup() {
    check_accepting();
    pool().bootup();
}

void ProcessPoolExecutor::reset() {
    if (!pool_) {
        throw mp::StateError("this ProcessPoolExecutor was moved from, or is gone");
    }
    pool().reset();
}

std::vector<pid_t> ProcessPoolExecutor::workers() const {
    return pool_ ? pool().worker_pids() : std::vector<pid_t>();
}

ProcessPoolStatistics ProcessPoolExecutor::statistics() const {
    return pool_ ? pool().statistics() : ProcessPoolStatistics();
}

}  // namespace futures

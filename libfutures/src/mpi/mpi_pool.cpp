// SPDX-License-Identifier: BSL-1.0
#include "futures/mpi_pool.hpp"

#include "mp/errors.hpp"

#include "mpi/current_job.hpp"
#include "mpi/mpi_pool_core.hpp"

#include <utility>

namespace futures {

MPIPoolExecutor::MPIPoolExecutor(MPIPoolOptions options)
    : MPIPoolExecutor(detail::farm_of_run(), std::move(options)) {}

MPIPoolExecutor::MPIPoolExecutor(Count max_workers)
    : MPIPoolExecutor(MPIPoolOptions{.max_workers = max_workers}) {}

MPIPoolExecutor::MPIPoolExecutor(
    std::shared_ptr<detail::Farm> farm, MPIPoolOptions options
)
    : RemoteExecutor(
          std::make_shared<detail::MPIPool>(std::move(farm), std::move(options))
      ) {}

detail::MPIPool& MPIPoolExecutor::pool() const {
    return static_cast<detail::MPIPool&>(*pool_);
}

// One that was moved from has no work, and nothing to end.

void MPIPoolExecutor::shutdown(ShutdownOptions options) {
    if (pool_) {
        pool().shutdown(options);
    }
}

void MPIPoolExecutor::bootup(bool wait) {
    check_accepting();
    pool().bootup(wait);
}

std::size_t MPIPoolExecutor::num_workers() const noexcept {
    return pool_ ? pool().num_workers() : 0;
}

MPIPoolStatistics MPIPoolExecutor::statistics() const {
    return pool_ ? pool().statistics() : MPIPoolStatistics();
}

}  // namespace futures

// SPDX-License-Identifier: BSL-1.0
#include "mpi/current_job.hpp"

#include "mp/errors.hpp"
#include "mp/thread_safety.hpp"

#include <utility>

namespace futures::detail {

namespace {

struct Current {
    mp::detail::Mutex mutex;
    std::shared_ptr<Farm> farm MP_GUARDED_BY(mutex);
};

/// Never destroyed: what runs as the program ends may ask.
Current& current() {
    static auto& current = *new Current();
    return current;
}

}  // namespace

std::shared_ptr<Farm> farm_of_run() {
    Current& now = current();
    const mp::detail::MutexLock lock(now.mutex);
    if (!now.farm || !now.farm->is_of_this_process()) {
        throw mp::StateError(
            "an MPIPoolExecutor is made in the function that futures::mpi::run() calls "
            "in rank 0: let main() return futures::mpi::run(argc, argv, user_main), "
            "and "
            "start the program with mpirun -n N, srun -n N, or by itself; a program "
            "that "
            "uses MPI itself makes an MPICommExecutor in all of its ranks"
        );
    }
    return now.farm;
}

bool is_in_run() {
    Current& now = current();
    const mp::detail::MutexLock lock(now.mutex);
    return now.farm && now.farm->is_of_this_process();
}

void set_farm_of_run(std::shared_ptr<Farm> farm) {
    Current& now = current();
    const mp::detail::MutexLock lock(now.mutex);
    now.farm = std::move(farm);
}

}  // namespace futures::detail

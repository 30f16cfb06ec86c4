// SPDX-License-Identifier: BSL-1.0
// Workers in an MPIPoolExecutor.
#include "ranks.hpp"

#include "futures/mpi_comm.hpp"
#include "futures/mpi_pool.hpp"
#include "mp/mp.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace mpsum {

namespace {

futures::MPIPoolOptions pool_options(const WorkerOptions& options) {
    futures::MPIPoolOptions pool;
    pool.isolation = futures::Isolation::process;
    if (options.jobs != 0) {
        pool.workers_per_rank = static_cast<futures::Count>(options.jobs);
    }
    return pool;
}

int ranks_of_job() {
    int size = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return size;
}

class RankWorkers final : public Workers {
public:
    explicit RankWorkers(const WorkerOptions& options)
        : algorithm_(options.algorithm),
          // Of the other machines nothing is known; they will be alike.
          jobs_(
              options.jobs != 0 ? options.jobs : static_cast<unsigned>(mp::cpu_count())
          ),
          is_alone_(ranks_of_job() == 1),
          pool_(pool_options(options)) {
        limited_.timeout = timeout_of(options);
        if (options.memory_limit != 0) {
            limited_.limits.memory = options.memory_limit;
        }
    }

    Results submit(Origin origin, std::vector<std::string> names) override {
        return pool_.submit(limited_, hash_files, algorithm_, origin, std::move(names));
    }

    unsigned count() const override {
        return jobs_ *
               static_cast<unsigned>(std::max<std::size_t>(pool_.num_workers(), 1));
    }

    void end_all(int status) noexcept override {
        // MPI tells of it, which is no news where there is no other rank to end.
        if (!is_alone_) {
            MPI_Abort(MPI_COMM_WORLD, status);
        }
        ::_exit(status);  // some MPIs return
    }

private:
    const Algorithm algorithm_;
    const unsigned jobs_;
    const bool is_alone_;
    futures::SubmitOptions limited_;  // of each task
    futures::MPIPoolExecutor pool_;
};

}  // namespace

int run_in_ranks(int argc, char** argv, const std::function<int()>& work) {
    return futures::mpi::run(argc, argv, work);
}

std::unique_ptr<Workers> rank_workers(const WorkerOptions& options) {
    return std::make_unique<RankWorkers>(options);
}

}  // namespace mpsum

// SPDX-License-Identifier: BSL-1.0
// Workers in a ProcessPoolExecutor.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "meter.hpp"
#include "workers.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mpsum {

namespace {

unsigned jobs_of(const WorkerOptions& options) {
    return options.jobs != 0 ? options.jobs
                             : static_cast<unsigned>(mp::usable_cpu_count());
}

futures::ProcessPoolOptions
pool_options(const WorkerOptions& options, const Meter* meter) {
    futures::ProcessPoolOptions pool;
    pool.max_workers = static_cast<decltype(pool.max_workers)>(jobs_of(options));
    if (!options.start_method.empty()) {
        pool.mp_context = mp::get_context(options.start_method);
    }
    if (meter != nullptr) {
        pool.initializer = mp::call(attach_meter, meter->path());
    }
    pool.on_worker_loss = futures::OnWorkerLoss::isolate;
    if (options.memory_limit != 0) {
        pool.limits.memory = options.memory_limit;
    }
    return pool;
}

class ProcessWorkers final : public Workers {
public:
    ProcessWorkers(const WorkerOptions& options, const Meter* meter)
        : algorithm_(options.algorithm),
          count_(jobs_of(options)),
          pool_(pool_options(options, meter)) {
        limited_.timeout = timeout_of(options);
    }

    Results submit(Origin origin, std::vector<std::string> names) override {
        return pool_.submit(limited_, hash_files, algorithm_, origin, std::move(names));
    }

    unsigned count() const override { return count_; }

    void end_all(int /*status*/) noexcept override {
        try {
            pool_.kill_workers();
        } catch (...) {
            // They end with their parent, which is about to end too.
        }
    }

private:
    const Algorithm algorithm_;
    const unsigned count_;
    futures::SubmitOptions limited_;  // of each task
    futures::ProcessPoolExecutor pool_;
};

}  // namespace

std::unique_ptr<Workers>
process_workers(const WorkerOptions& options, const Meter* meter) {
    return std::make_unique<ProcessWorkers>(options, meter);
}

mp::Timeout timeout_of(const WorkerOptions& options) {
    if (options.timeout <= 0) {
        return mp::forever;
    }
    // A pool knows nothing shorter.
    constexpr std::chrono::duration<double> least = std::chrono::nanoseconds(1);
    return std::max(std::chrono::duration<double>(options.timeout), least);
}

}  // namespace mpsum

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_settings.hpp"

#include "futures/affinity.hpp"
#include "mp/cpu_count.hpp"

#include "os/check.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

namespace futures {

namespace detail {

namespace os = mp::os;

namespace {

constexpr int most_cpus = 1 << 16;

/// A cpu_set_t that has room for so many.
class CpuMask {
public:
    CpuMask() : set_(CPU_ALLOC(most_cpus)), size_(CPU_ALLOC_SIZE(most_cpus)) {
        if (!set_) {
            throw std::bad_alloc();
        }
        CPU_ZERO_S(size_, set_.get());
    }

    cpu_set_t* get() const noexcept { return set_.get(); }

    std::size_t size() const noexcept { return size_; }

private:
    struct Free {
        void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
    };

    std::unique_ptr<cpu_set_t, Free> set_;
    std::size_t size_;
};

}  // namespace

std::vector<int> allowed_cpus() {
    const CpuMask mask;
    os::check(sched_getaffinity(0, mask.size(), mask.get()), "sched_getaffinity");
    std::vector<int> cpus;
    for (int cpu = 0; cpu < most_cpus; ++cpu) {
        if (CPU_ISSET_S(static_cast<std::size_t>(cpu), mask.size(), mask.get())) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

mp::Environment with_thread_counts(mp::Environment changes, std::uint32_t workers) {
    constexpr std::array names{
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "TBB_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS"};
    const auto cpus = static_cast<std::uint32_t>(mp::usable_cpu_count());
    const std::string share = std::to_string(std::max(1U, cpus / workers));
    for (const char* const name : names) {
        if (std::getenv(name) == nullptr) {
            changes.emplace(name, share);  // not in place of what is there
        }
    }
    return changes;
}

void WorkerSettings::apply() const {
    if (has_nice) {
        const std::string what = "a worker of the pool cannot have the nice value " +
                                 std::to_string(nice) + ": setpriority";
        os::check(setpriority(PRIO_PROCESS, 0, nice), what.c_str());
    }
    if (!cpus.empty()) {
        const CpuMask mask;
        std::string names;
        for (const int cpu : cpus) {
            CPU_SET_S(static_cast<std::size_t>(cpu), mask.size(), mask.get());
            names += (names.empty() ? "" : ", ") + std::to_string(cpu);
        }
        const std::string what = "a worker of the pool cannot run on the processors " +
                                 names + ": sched_setaffinity";
        os::check(sched_setaffinity(0, mask.size(), mask.get()), what.c_str());
    }
}

}  // namespace detail

void Affinity::check(std::uint32_t workers) const {
    if (kind_ != Kind::listed) {
        return;
    }
    if (sets_.size() != 1 && sets_.size() != workers) {
        throw std::invalid_argument(
            "affinity has " + std::to_string(sets_.size()) +
            " sets of processors: give one for all workers, or one for each of the " +
            std::to_string(workers)
        );
    }
    const std::vector<int> allowed = detail::allowed_cpus();
    for (const CpuSet& set : sets_) {
        if (set.cpus().empty()) {
            throw std::invalid_argument("affinity has a set without any processor");
        }
        for (const int cpu : set.cpus()) {
            if (!std::binary_search(allowed.begin(), allowed.end(), cpu)) {
                throw std::invalid_argument(
                    "affinity names processor " + std::to_string(cpu) +
                    ", which this process may not use, or which is not there"
                );
            }
        }
    }
}

std::vector<int> Affinity::of_worker(std::uint32_t index) const {
    switch (kind_) {
    case Kind::inherited:
        break;
    case Kind::one_each: {
        const std::vector<int> allowed = detail::allowed_cpus();
        return {allowed[index % allowed.size()]};
    }
    case Kind::listed:
        return sets_[index % sets_.size()].cpus();
    }
    return {};
}

}  // namespace futures

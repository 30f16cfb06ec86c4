// SPDX-License-Identifier: BSL-1.0
#include "mpi/rank_environment.hpp"

#include "mp/cpu_count.hpp"
#include "mp/timeout.hpp"

#include "process/forkserver_client.hpp"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <string_view>

namespace futures::detail {

namespace {

constexpr std::array<std::string_view, 9> prefixes{
    "OMPI_",
    "PMIX_",
    "PMI_",
    "PRTE_",
    "MPI_LOCAL",
    "HYDRA_",
    "MPIR_",
    "MPIEXEC_",
    "PALS_"};

/// Of the step that this rank is; those of the job a program may want.
constexpr std::array<std::string_view, 8> slurm_variables{
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_GTIDS",
    "SLURM_TASK_PID",
    "SLURM_STEP",
    "SLURM_SRUN",
    "SLURM_MPI",
    "SLURM_PMI"};

bool is_of_rank(std::string_view name) {
    for (const auto prefix : prefixes) {
        if (name.starts_with(prefix)) {
            return true;
        }
    }
    for (const auto prefix : slurm_variables) {
        if (name.starts_with(prefix)) {
            return true;
        }
    }
    return false;
}

/// While it lives, this thread may run wherever the kernel lets it.
class Unbound {
public:
    Unbound() noexcept
        : is_known_(::sched_getaffinity(0, sizeof before_, &before_) == 0) {
        if (is_known_) {
            cpu_set_t all;
            std::memset(&all, 0xff, sizeof all);
            ::sched_setaffinity(0, sizeof all, &all);
        }
    }

    ~Unbound() {
        if (is_known_) {
            ::sched_setaffinity(0, sizeof before_, &before_);
        }
    }

    Unbound(const Unbound&) = delete;
    Unbound& operator=(const Unbound&) = delete;

private:
    cpu_set_t before_{};
    const bool is_known_;
};

}  // namespace

mp::Environment without_mpi_variables() {
    mp::Environment changes;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (is_of_rank(name)) {
            changes[std::string(name)] = std::nullopt;
        }
    }
    return changes;
}

void start_fork_server() {
    const Unbound unbound;
    mp::detail::ForkServer::running(mp::Deadline(mp::forever));
}

int all_processors() noexcept {
    const Unbound unbound;
    return mp::usable_cpu_count();
}

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) {
        return "?";
    }
    return name.data();
}

}  // namespace futures::detail

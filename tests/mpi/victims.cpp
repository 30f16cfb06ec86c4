// SPDX-License-Identifier: BSL-1.0
// mpi_victims <way> <bell> <rank>: a job that rings the bell when it has come to some
// point, and stays there. Somebody else ends it. Where a rank has to wait for another
// to be at that point, the other is the one given.
#include "futures/mpi_comm.hpp"
#include "futures/mpi_pool.hpp"
#include "mp/spawn.hpp"

#include "support/gate.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

using futures::MPIPoolExecutor;
using futures::MPIPoolOptions;

std::string bell;

[[noreturn]] void stay() {
    for (;;) {
        ::pause();
    }
}

void ring_and_stay(const std::string& path) {
    test::ring(path);
    stay();
}

using Bytes = std::vector<std::byte>;

Bytes same(Bytes bytes) {
    return bytes;
}

/// All ranks have work, and rank 0 waits for it.
int run_in_all(const MPIPoolOptions& options) {
    MPIPoolExecutor executor(options);
    for (std::size_t i = 0; i < executor.num_workers(); ++i) {
        executor.submit(ring_and_stay, bell);
    }
    executor.shutdown();
    return 0;
}

/// Something is on its way all the time, to all ranks and back.
int send_for_ever(const MPIPoolOptions& options) {
    MPIPoolExecutor executor(options);
    const Bytes bytes(std::size_t{64} << 20U);
    executor.submit(same, bytes).result();
    for (bool first = true;; first = false) {
        std::vector<futures::Future<Bytes>> all;
        for (std::size_t i = 0; i < executor.num_workers(); ++i) {
            all.push_back(executor.submit(same, bytes));
        }
        if (first) {
            test::ring(bell);
        }
        for (auto& one : all) {
            std::move(one).result();
        }
    }
}

const MPIPoolOptions isolated{
    .isolation = futures::Isolation::process, .workers_per_rank = 2};

/// What rank 0 does.
const std::map<std::string, std::function<int()>> ways{
    {"idle",
     [] {
         MPIPoolExecutor executor;
         executor.bootup();
         ring_and_stay(bell);
         return 0;
     }},
    {"running",
     [] {
         return run_in_all({.credits = 1});
     }},
    {"sending",
     [] {
         return send_for_ever({.credits = 1});
     }},
    {"isolated_idle",
     [] {
         MPIPoolExecutor executor(isolated);
         executor.bootup();
         ring_and_stay(bell);
         return 0;
     }},
    {"isolated_running",
     [] {
         return run_in_all(isolated);
     }},
    {"isolated_sending",
     [] {
         return send_for_ever(isolated);
     }},
};

int rank_by_launcher() {
    for (const char* const name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
        if (const char* const rank = std::getenv(name)) {
            return std::atoi(rank);
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    const std::string way = argc > 3 ? argv[1] : "";
    bell = argc > 3 ? argv[2] : "";
    const bool is_victim = argc > 3 && rank_by_launcher() == std::atoi(argv[3]);
    if (way == "starting" && is_victim) {
        ring_and_stay(bell);
    }
    if (way == "agreeing") {
        int level = 0;
        MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
        if (is_victim) {
            ring_and_stay(bell);
        }
    }
    const auto found = ways.find(way);
    return futures::mpi::run(argc, argv, [&] {
        return found == ways.end() ? 0 : found->second();
    });
}

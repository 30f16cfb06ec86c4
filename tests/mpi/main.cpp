// SPDX-License-Identifier: BSL-1.0
// The main of the tests over an MPI job: rank 0 runs the cases, the other ranks serve.
// After all of them, these must have what they had before, too.
#include "futures/mpi_comm.hpp"
#include "futures/mpi_pool.hpp"
#include "mp/forkserver.hpp"
#include "mp/spawn.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/proc.hpp"
#include "support/session.hpp"
#include "support/soon.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

namespace {

/// What a rank has that serves.
struct Belongings {
    int rank = 0;
    int descriptors = 0;
    int threads = 0;
    int children = 0;

    /// What was just ending as it was counted may be less.
    bool is_no_more_than(const Belongings& before) const {
        return descriptors <= before.descriptors && threads <= before.threads &&
               children <= before.children;
    }
};

Belongings count_belongings() {
    // So that each rank gets one of these tasks.
    MPI_Barrier(futures::worker_comm());
    Belongings own;
    MPI_Comm_rank(MPI_COMM_WORLD, &own.rank);
    own.descriptors = test::open_descriptors();
    test::for_each_entry("/proc/self/task", [&](const char*, int) { ++own.threads; });
    test::for_each_relative([&](const test::ProcStat&) { ++own.children; });
    return own;
}

using AllBelongings = std::map<int, Belongings>;

AllBelongings belongings_of_ranks() {
    futures::MPIPoolExecutor executor({.credits = 1});
    std::vector<futures::Future<Belongings>> tasks;
    for (std::size_t i = 0; i < executor.num_workers(); ++i) {
        tasks.push_back(executor.submit(count_belongings));
    }
    AllBelongings all;
    for (const auto& task : tasks) {
        const Belongings one = task.result();
        all[one.rank] = one;
    }
    return all;
}

/// What lasts as long as the job is made now, in all ranks: threads, helpers, and what
/// the ranks connect with.
void begin_everything() {
    futures::MPIPoolExecutor(test::isolated()).bootup();
    belongings_of_ranks();
    // Those of rank 0 alone: each case starts them anew, and the listener ends them.
    mp::stop_helpers();
}

void say(const char* when, const AllBelongings& all) {
    for (const auto& [rank, own] : all) {
        std::fprintf(
            stderr,
            "LEAK: rank %d has %s the cases: %d descriptors, %d threads, %d children\n",
            rank,
            when,
            own.descriptors,
            own.threads,
            own.children
        );
    }
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    test::prepare_process();
    return futures::mpi::run(argc, argv, [](int count, char** words) {
        begin_everything();
        const AllBelongings before = belongings_of_ranks();
        const int failed = test::run_session(count, words);
        // A worker that was killed may take its time to go.
        AllBelongings after;
        const bool is_as_before = test::soon([&] {
            after = belongings_of_ranks();
            return std::all_of(after.begin(), after.end(), [&](const auto& one) {
                return one.second.is_no_more_than(before.at(one.first));
            });
        });
        if (!is_as_before) {
            say("before", before);
            say("after", after);
        }
        return failed == 0 && !is_as_before ? 1 : failed;
    });
}

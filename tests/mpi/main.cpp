// SPDX-License-Identifier: BSL-1.0
// The main of the tests over an MPI job: rank 0 runs the cases, the other ranks serve.
#include "futures/mpi_pool.hpp"
#include "mp/forkserver.hpp"
#include "mp/spawn.hpp"

#include "support/session.hpp"

namespace {

/// What lasts as long as the job is made now: its threads, and what the ranks connect
/// with. No case is charged with it.
void reach_all_ranks() {
    futures::MPIPoolExecutor executor;
    executor.bootup();
    // Those of this rank; the cases start theirs anew, and the listener ends them.
    mp::stop_helpers();
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    test::prepare_process();
    return futures::mpi::run(argc, argv, [](int count, char** words) {
        reach_all_ranks();
        return test::run_session(count, words);
    });
}

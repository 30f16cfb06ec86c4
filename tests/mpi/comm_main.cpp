// SPDX-License-Identifier: BSL-1.0
// The main of the tests of MPICommExecutor: a program that initialises MPI itself, and
// all of whose ranks run the same cases in the same order.
#include "futures/mpi_comm.hpp"
#include "mp/spawn.hpp"

#include "support/session.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

/// MP_TEST_MPI_THREADS says how many threads MPI is asked to bear.
int wanted_level() {
    const char* const text = std::getenv("MP_TEST_MPI_THREADS");
    const std::string_view level = text == nullptr ? "multiple" : text;
    return level == "funneled"     ? MPI_THREAD_FUNNELED
           : level == "serialized" ? MPI_THREAD_SERIALIZED
                                   : MPI_THREAD_MULTIPLE;
}

/// What the ranks connect with lasts as long as the job: no case is charged with it.
void reach_all_ranks(int size) {
    std::vector<int> from(static_cast<std::size_t>(size));
    std::vector<int> to(from.size());
    MPI_Alltoall(from.data(), 1, MPI_INT, to.data(), 1, MPI_INT, MPI_COMM_WORLD);
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    test::prepare_process();
    int level = 0;
    MPI_Init_thread(&argc, &argv, wanted_level(), &level);
    int rank = 0;
    int size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    reach_all_ranks(size);
    const int failed = test::run_session(argc, argv);
    if (failed != 0) {
        std::fprintf(stderr, "rank %d of %d failed\n", rank, size);
    }
    int most = 0;
    MPI_Allreduce(&failed, &most, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return most;
}

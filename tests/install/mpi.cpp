// SPDX-License-Identifier: BSL-1.0
// A stranger's MPI job: rank 0 submits, the others serve. It knows the installed
// headers and libmp::mpi, which brings the MPI along.
#include <cstdio>
#include <futures/mpi_comm.hpp>
#include <futures/mpi_pool.hpp>

namespace {

/// How many ranks serve, as MPI itself says in one of them.
int ranks_that_serve() {
    int size = 0;
    MPI_Comm_size(futures::mpi::worker_comm(), &size);
    return size;
}

int work() {
    futures::MPIPoolExecutor pool;
    const int told = pool.submit(ranks_that_serve).result();
    if (told < 1 || static_cast<std::size_t>(told) != pool.num_workers()) {
        std::fprintf(stderr, "%d ranks serve, not %zu\n", told, pool.num_workers());
        return 1;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return futures::mpi::run(argc, argv, work);
}

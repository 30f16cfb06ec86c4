// SPDX-License-Identifier: BSL-1.0
// The least MPI programs that do what the group mpi measures: without an argument one
// that begins and ends; with one, two ranks that send so many bytes there and back, and
// print the seconds that takes, as a line "bare <seconds>".
#include "bench.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <mpi.h>
#include <vector>

namespace {

void there_and_back(std::vector<char>& bytes, int rank) {
    const auto size = static_cast<int>(bytes.size());
    const int other = 1 - rank;
    const auto send = [&] {
        MPI_Send(bytes.data(), size, MPI_CHAR, other, 0, MPI_COMM_WORLD);
    };
    const auto receive = [&] {
        MPI_Recv(
            bytes.data(), size, MPI_CHAR, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE
        );
    };
    if (rank == 0) {
        send();
        receive();
    } else {
        receive();
        send();
    }
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    if (argc > 1) {
        int rank = 0;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        std::vector<char> bytes(std::strtoul(argv[1], nullptr, 10));
        constexpr std::size_t in_all = std::size_t{1} << 28U;
        const int count = bytes.size() < in_all / 1000
                              ? 1000
                              : static_cast<int>(in_all / bytes.size() / 2);
        const double seconds = bench::best_seconds_of(5, [&] {
            for (int i = 0; i != count; ++i) {
                there_and_back(bytes, rank);
            }
        });
        if (rank == 0) {
            std::printf("bare %.12g\n", seconds / count);
        }
    }
    MPI_Finalize();
}

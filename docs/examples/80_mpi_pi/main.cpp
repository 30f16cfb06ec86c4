// SPDX-License-Identifier: BSL-1.0
// Pi, by all ranks of an MPI job: mpirun -n 3 mpi_pi. Rank 0 submits, the others serve.
#include "futures/futures.hpp"
#include "futures/mpi_pool.hpp"

#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <vector>

/// Of 4 / (1 + x * x) between 0 and 1, cut into so many strips, the area of some.
double area(long first, long last, long strips) {
    if (strips <= 0) {
        throw std::invalid_argument("there must be strips");
    }
    const double width = 1.0 / static_cast<double>(strips);
    double sum = 0;
    for (long i = first; i < last; ++i) {
        const double x = (static_cast<double>(i) + 0.5) * width;
        sum += 4 / (1 + x * x);
    }
    return sum * width;
}

void user_main() {
    constexpr long strips = 1'000'000;
    constexpr long parts = 20;
    futures::MPIPoolExecutor pool;
    std::cout << pool.num_workers() << " ranks serve\n";

    std::vector<long> firsts;
    std::vector<long> lasts;
    for (long part = 0; part < parts; ++part) {
        firsts.push_back(part * strips / parts);
        lasts.push_back((part + 1) * strips / parts);
    }
    double pi = 0;
    for (const double some :
         pool.map({.chunksize = 2}, area, firsts, lasts, std::vector(parts, strips))) {
        pi += some;
    }
    std::cout << "pi = " << std::fixed << std::setprecision(10) << pi << '\n';

    auto half = pool.submit(area, 0, strips / 2, strips);
    std::cout << "up to the middle: " << std::setprecision(4) << half.result() << '\n';
    try {
        pool.submit(area, 0, 1, 0).result();
    } catch (const std::invalid_argument& error) {
        std::cout << "error: " << error.what() << '\n';
    }
}

int main(int argc, char** argv) {
    return futures::mpi::run(argc, argv, user_main);
}

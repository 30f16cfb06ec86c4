// SPDX-License-Identifier: BSL-1.0
// For a build without MPI.
#include "ranks.hpp"

#include <iostream>
#include <stdexcept>

namespace mpsum {

namespace {

constexpr const char* text = "--mpi: this mpsum was built without MPI";

}  // namespace

int run_in_ranks(
    int /*argc*/, char** /*argv*/, const std::function<int()>& /*work*/
) {
    std::cerr << "mpsum: " << text << '\n';
    return 2;
}

std::unique_ptr<Workers> rank_workers(const WorkerOptions& /*options*/) {
    throw std::logic_error(text);
}

}  // namespace mpsum

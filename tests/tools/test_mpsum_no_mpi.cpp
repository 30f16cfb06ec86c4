// SPDX-License-Identifier: BSL-1.0
// mpsum --mpi where mpsum was built without MPI.
#include "tools/mpsum.hpp"

using tools_test::check_same;
using tools_test::mpsum;

TEST_CASE("mpsum --mpi: without MPI that is said, with status 2") {
    check_same(
        mpsum({"--mpi", "."}),
        {2, "", "mpsum: --mpi: this mpsum was built without MPI\n"}
    );
}

// SPDX-License-Identifier: BSL-1.0
// Pools that are made before main. The cases: docs/faults.md.
#include "support/catch.hpp"
#include "support/program.hpp"

#include <string>

using test::Finished;

TEST_CASE("H11: a pool that a static initialiser makes works in main", "[faults]") {
    const std::string method = GENERATE("fork", "spawn", "forkserver");
    const Finished ended = test::run(
        {MP_POOL_BEFORE_MAIN}, {.set_environment = {"POOL_METHOD=" + method}}
    );
    INFO(ended.err);
    CHECK(ended.status == 0);
    CHECK(ended.out == "123\n");
}

TEST_CASE(
    "H11: a static initialiser that submits to a pool starts no endless processes",
    "[faults]"
) {
    const std::string method = GENERATE("spawn", "forkserver");
    const Finished ended = test::run(
        {MP_POOL_BEFORE_MAIN},
        {.set_environment = {"POOL_METHOD=" + method, "POOL_USED_EARLY=1"}}
    );
    const std::string all = ended.out + ended.err;
    INFO(all);
    // The worker, which comes by the same place, starts none of its own.
    CHECK_THAT(all, test::ContainsSubstring("bootstrapping"));
    CHECK_THAT(all, test::ContainsSubstring("freeze_support"));
    CHECK(ended.status == 0);
    CHECK_THAT(ended.out, test::ContainsSubstring("2\n123\n"));
    CHECK(all.size() < 8192);
}

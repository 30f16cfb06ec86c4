// SPDX-License-Identifier: BSL-1.0
// Programs whose main does not begin with freeze_support(), or that start a process
// before main: an error, not endless processes.
#include "support/catch.hpp"
#include "support/program.hpp"

#include <string>

using test::Finished;

namespace {

std::string output_of(const Finished& finished) {
    return finished.out + finished.err;
}

}  // namespace

TEST_CASE(
    "TestNoForkBomb.test_noforkbomb: a main without the first line does not recurse",
    "[process]"
) {
    const std::string method = GENERATE("spawn", "forkserver");
    const Finished outcome = test::run({MP_WITHOUT_FREEZE_SUPPORT, method});
    CHECK(outcome.status == 10);
    CHECK(output_of(outcome).find("freeze_support") != std::string::npos);
    CHECK(output_of(outcome).find("123") == std::string::npos);
    CHECK(output_of(outcome).size() < 4096);
}

TEST_CASE("TestNoForkBomb.test_noforkbomb: fork needs no first line", "[process]") {
    const Finished outcome = test::run({MP_WITHOUT_FREEZE_SUPPORT, "fork"});
    CHECK(outcome.status == 0);
    CHECK(output_of(outcome) == "123\n");
}

TEST_CASE("TestNoForkBomb.test_noforkbomb: a static initialiser is told", "[process]") {
    const Finished outcome = test::run({MP_STARTS_BEFORE_MAIN});
    CHECK(outcome.status == 10);
    CHECK(output_of(outcome).find("bootstrapping") != std::string::npos);
    CHECK(output_of(outcome).find("freeze_support") != std::string::npos);
}

// SPDX-License-Identifier: BSL-1.0
// A test of a function that a pool's workers run, for Catch2 of version 2 or 3.
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_macros.hpp>
#else
#include <catch2/catch.hpp>
#endif
#include <futures/process_pool.hpp>

namespace {

// snippet: test
int twice(int number) {
    return number * 2;
}

TEST_CASE("a pool calls a function") {
    futures::ProcessPoolExecutor pool(2);
    CHECK(pool.submit(twice, 21).result() == 42);
}
// end snippet

}  // namespace

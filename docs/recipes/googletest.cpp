// SPDX-License-Identifier: BSL-1.0
// A test of a function that a pool's workers run.
#include <futures/process_pool.hpp>
#include <gtest/gtest.h>

namespace {

int twice(int number) {
    return number * 2;
}

}  // namespace

TEST(Pool, CallsAFunction) {
    futures::ProcessPoolExecutor pool(2);
    EXPECT_EQ(pool.submit(twice, 21).result(), 42);
}

// SPDX-License-Identifier: BSL-1.0
// A test program's own main.
#include <gtest/gtest.h>
#include <mp/spawn.hpp>

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);  // a worker stays in here
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}

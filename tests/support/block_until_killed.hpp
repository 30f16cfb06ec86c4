// SPDX-License-Identifier: BSL-1.0
// block_until_killed: what a child does that a test ends by a signal.
#pragma once

#include <unistd.h>

namespace test {

[[noreturn]] inline void block_until_killed() {
    for (;;) {
        ::pause();
    }
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// How often each place gets a run in which a process is killed there, and how long the
// others may wait.
#pragma once

#include "support/failpoints.hpp"
#include "support/sanitizer.hpp"

#include <chrono>

namespace test {

/// A process waits as long as this only when it was forgotten.
constexpr std::chrono::seconds too_long{20};

/// MP_TEST_SEEDS overrides it. A fork takes a sanitizer some milliseconds.
inline int kill_seeds() {
    return seeds(under_asan || under_tsan ? 1 : 3);
}

}  // namespace test

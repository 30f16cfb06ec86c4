// SPDX-License-Identifier: BSL-1.0
// patience(usual): how long a test waits for what an idle machine does in the usual
// time.
#pragma once

#include <chrono>

namespace test {

/// Twenty times `usual`: far more than a busy machine or a sanitizer needs, and less
/// than a wait whose end never comes. It tells "at once" from "never"; a benchmark
/// measures.
constexpr std::chrono::milliseconds patience(std::chrono::milliseconds usual) {
    return 20 * usual;
}

}  // namespace test

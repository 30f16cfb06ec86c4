// SPDX-License-Identifier: BSL-1.0
// soon(condition): waits until something that another process brings about in shared
// memory is so.
#pragma once

#include "mp/timeout.hpp"

#include <chrono>
#include <thread>

namespace test {

/// True as soon as `condition()` is; false after 20 s.
template <class Condition>
bool soon(Condition condition) {
    const mp::Deadline end(std::chrono::seconds(20));
    while (!condition()) {
        if (end.expired()) {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// throws<Error>(body): whether what a coroutine function awaits throws that.
#pragma once

#include "concurrency/coroutine.hpp"

namespace test {

/// Awaits what `body()` gives. False if it does not throw; another exception passes.
template <class Error, class Body>
concurrency::Task<bool> throws(Body& body) {
    try {
        static_cast<void>(co_await body());
    } catch (const Error&) {
        co_return true;
    }
    co_return false;
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// with_mock_clock(body): a coroutine run in a loop of each backend, under a clock that
// jumps to what is waited for, so that no test waits for time to pass.
#pragma once

#include "concurrency/testing.hpp"
#include "support/backends.hpp"

#include <type_traits>

namespace test {

/// Runs `body()` or `body(clock)`, which gives a Task<>, in each backend.
template <class Body>
void with_mock_clock(Body body) {
    using concurrency::testing::MockClock;
    each_backend([&](concurrency::Backend backend) {
        MockClock clock(0, 0);
        const auto main = [&] {
            if constexpr (std::is_invocable_v<Body&, MockClock&>) {
                return body(clock);
            } else {
                return body();
            }
        };
        CHECK_NOTHROW(concurrency::run(main, clock, backend));
    });
}

}  // namespace test

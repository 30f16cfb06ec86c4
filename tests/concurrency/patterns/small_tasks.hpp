// SPDX-License-Identifier: BSL-1.0
// Small coroutines that patterns are tried with.
#pragma once

#include "concurrency/checkpoint.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/errors.hpp"

#include <stdexcept>
#include <string>

namespace test {

/// The value, after so many checkpoints.
inline concurrency::Task<int> give(int value, int waits = 0) {
    for (int i = 0; i < waits; ++i) {
        co_await concurrency::checkpoint();
    }
    co_return value;
}

/// An error of this text, after so many checkpoints.
inline concurrency::Task<int> fail(std::string text, int waits = 0) {
    for (int i = 0; i < waits; ++i) {
        co_await concurrency::checkpoint();
    }
    throw std::runtime_error(text);
}

/// Waits until it is cancelled, and counts that.
inline concurrency::Task<int> until_cancelled(int& cancelled) {
    try {
        co_await concurrency::sleep_forever();
    } catch (const concurrency::Cancelled&) {
        ++cancelled;
        throw;
    }
    co_return 0;
}

}  // namespace test

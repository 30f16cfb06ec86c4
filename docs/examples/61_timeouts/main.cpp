// SPDX-License-Identifier: BSL-1.0
// Time limits that hold: around what is slow, around each other, and not around what
// cleans up.
#include "concurrency/concurrency.hpp"

#include <exception>
#include <iostream>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::fail_after;
using concurrency::move_on_after;
using concurrency::Task;

Task<> slow() {
    co_await concurrency::sleep(3600);
}

/// Catches its cancellation, and goes on waiting. It does not get far.
Task<> stubborn() {
    for (int attempt = 0; attempt != 3; ++attempt) {
        try {
            co_await slow();
        } catch (const Cancelled&) {
            std::cout << "attempt " << attempt << " was cancelled\n";
        }
    }
    co_await slow();
}

Task<> save() {
    co_await concurrency::sleep(0.02);
    std::cout << "saved\n";
}

Task<> slow_with_cleanup() {
    std::exception_ptr error;
    try {
        co_await slow();
    } catch (...) {
        error = std::current_exception();  // nothing can be awaited in here
    }
    co_await concurrency::shield(save);
    if (error) {
        std::rethrow_exception(error);
    }
}

const char* yes_or_no(bool yes) {
    return yes ? "True" : "False";
}

Task<> run_all() {
    const bool in_time = co_await move_on_after(0.05, slow);
    std::cout << "too slow: " << yes_or_no(!in_time) << '\n';

    try {
        co_await fail_after(0.05, slow);
    } catch (const concurrency::TimeoutError&) {
        std::cout << "too slow, and an error\n";
    }

    co_await move_on_after(0.05, stubborn);
    std::cout << "even the stubborn one ended\n";

    CancelScope outer = move_on_after(0.05);
    CancelScope inner = move_on_after(3600);
    co_await outer.run([&]() -> Task<> { co_await inner.run(slow); });
    std::cout << "the outer one: " << yes_or_no(outer.cancel_called())
              << " - the inner one: " << yes_or_no(inner.cancel_called()) << '\n';

    co_await move_on_after(0.05, slow_with_cleanup);
}

int main() {
    concurrency::run(run_all);
}

// SPDX-License-Identifier: BSL-1.0
// What scopes and limits are given: in which order, and by which names.
#include "concurrency/cancel.hpp"
#include "concurrency/checkpoint.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <cmath>
#include <string>

using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::Task;

TEST_CASE("cancel: a deadline and a shield can be given without names", "[cancel]") {
    test::over_backends([]() -> Task<> {
        CancelScope past(concurrency::current_time() - 1);
        CHECK(past.cancel_called());
        CHECK_FALSE(past.shield());
        CancelScope shielded(concurrency::inf, true);
        CHECK(shielded.shield());
        CHECK(shielded.deadline() == concurrency::inf);
        CancelScope point(std::chrono::steady_clock::now());
        CHECK(point.cancel_called());
        CHECK_THROWS_AS(CancelScope(std::nan("")), concurrency::ValueError);
        co_return;
    });
}

TEST_CASE("cancel: options may stand behind the body", "[cancel]") {
    test::over_backends([]() -> Task<> {
        const auto forever = [] {
            return concurrency::sleep_forever();
        };
        CancelScope outer;
        int reached = 0;
        co_await outer.run([&]() -> Task<> {
            outer.cancel();
            const auto passes = []() -> Task<> {
                co_await checkpoint();
            };
            CHECK_AWAITED(
                concurrency::move_on_after(9, passes, {.shield = true}), == true
            );
            CHECK_AWAITED(
                concurrency::move_on_at(
                    concurrency::current_time() + 9, passes, {.shield = true}
                ),
                == true
            );
            co_await concurrency::fail_after(9, passes, {.shield = true});
            co_await concurrency::fail_at(concurrency::inf, passes, {.shield = true});
            ++reached;
            try {
                co_await concurrency::fail_after(0, forever, {.reason = "too slow"});
            } catch (const concurrency::TimeoutError&) {
                ++reached;  // the outer scope goes first
            }
        });
        CHECK(reached == 1);
        std::string text;
        try {
            co_await concurrency::fail_after(0, forever, {.reason = "too slow"});
        } catch (const concurrency::TimeoutError& error) {
            text = error.what();
        }
        CHECK(text == "too slow");
    });
}

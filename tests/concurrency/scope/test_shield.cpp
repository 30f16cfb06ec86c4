// SPDX-License-Identifier: BSL-1.0
// Shields: what is in one does not see that scopes around it are cancelled.
#include "concurrency/cancel.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <stdexcept>
#include <string>

using concurrency::cancel_pending;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::effective_deadline;
using concurrency::inf;
using concurrency::move_on_after;
using concurrency::shield;
using concurrency::sleep;
using concurrency::Task;

namespace {

Task<int> give(int value, double after) {
    co_await sleep(after);
    co_return value;
}

Task<bool> passes() {
    bool passed = true;
    try {
        co_await checkpoint();
    } catch (const Cancelled&) {
        passed = false;
    }
    co_return passed;
}

}  // namespace

TEST_CASE(
    "errors::test_shield_protects_from_external_cancellation "
    "cancel::test_nested_scopes_inner_shielded_outer_cancel: "
    "what is shielded completes, and then the cancellation strikes",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        int value = 0;
        bool after = false;
        bool past = false;
        const bool completed = co_await move_on_after(0.001, [&]() -> Task<> {
            value = co_await shield(give, 7, 0.01);
            after = cancel_pending();
            co_await checkpoint();
            past = true;
        });
        CHECK_FALSE(completed);
        CHECK(value == 7);
        CHECK(after);
        CHECK_FALSE(past);
        CHECK_AWAITED(shield(give(8, 0)), == 8);
    });
}

TEST_CASE(
    "errors::test_shield_propagates_inner_exception "
    "errors::test_shield_does_not_block_internal_timeout "
    "errors::test_shield_still_allows_internal_cancellation: what happens inside is as "
    "ever",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto boom = []() -> Task<> {
            throw std::runtime_error("boom");
            co_return;
        };
        auto shielded = [&] {
            return shield(boom);
        };
        CHECK_AWAITED(test::thrown_by(shielded), == "boom");
        bool timed_out = false;
        try {
            co_await shield([] {
                return concurrency::fail_after(0.001, concurrency::sleep_forever());
            });
        } catch (const concurrency::TimeoutError&) {
            timed_out = true;
        }
        CHECK(timed_out);
        CHECK_AWAITED(shield([] { return move_on_after(0.001, sleep(60)); }), == false);
    });
}

TEST_CASE(
    "taskgroups::cancel_shielded_scope "
    "trio.timeouts::move_on_after_moves_on_even_if_shielded "
    "trio.timeouts::fail_after_fails_even_if_shielded "
    "trio.timeouts::context_shields_from_outer: "
    "a shield does not protect from its own scope",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope own({.shield = true});
        co_await own.run([&]() -> Task<> {
            own.cancel();
            CHECK(effective_deadline() == -inf);
            CHECK(cancel_pending());
            CHECK_AWAITED(passes(), == false);
        });
        CancelScope outer;
        co_await outer.run([&]() -> Task<> {
            outer.cancel();
            bool begun = false;
            const bool completed = co_await move_on_after(
                0.001,
                {.shield = true},
                [&](CancelScope& scope) -> Task<> {
                    CHECK_AWAITED(passes(), == true);
                    scope.set_shield(false);
                    CHECK_AWAITED(passes(), == false);
                    scope.set_shield(true);
                    begun = true;
                    co_await concurrency::sleep_forever();
                }
            );
            CHECK_FALSE(completed);
            CHECK(begun);
            bool timed_out = false;
            try {
                co_await concurrency::fail_after(
                    0.001, {.shield = true}, concurrency::sleep_forever()
                );
            } catch (const concurrency::TimeoutError&) {
                timed_out = true;
            }
            CHECK(timed_out);
        });
    });
}

TEST_CASE(
    "trio.run::cancel_shielding trio.run::cancel_scope_nesting.b "
    "trio.run::cancel_unbound.b: a shield may be put up and taken away",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        bool after_inner = false;
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                CHECK_AWAITED(passes(), == true);
                outer.cancel();
                CHECK_AWAITED(passes(), == false);
                inner.set_shield(true);
                CHECK_AWAITED(passes(), == true);
                CancelScope innermost;
                innermost.cancel();
                CHECK_AWAITED(innermost.run(checkpoint()), == false);
                CHECK(innermost.cancelled_caught());
                inner.set_shield(false);
                CHECK_AWAITED(passes(), == false);
                inner.set_shield(true);
                inner.cancel();
                co_await checkpoint();
            });
            after_inner = true;
        });
        CHECK(after_inner);
        CHECK(inner.cancelled_caught());
        CancelScope set_before;
        set_before.set_shield(true);
        CancelScope around;
        co_await around.run([&]() -> Task<> {
            around.cancel();
            CHECK_AWAITED(set_before.run(checkpoint()), == true);
        });
    });
}

TEST_CASE(
    "trio.run::unshield_while_cancel_propagating: a scope that was not cancelled "
    "absorbs nothing",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        bool between = false;
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                outer.cancel();
                try {
                    co_await checkpoint();
                } catch (const Cancelled&) {
                    inner.set_shield(true);
                    throw;
                }
            });
            between = true;
        });
        CHECK_FALSE(between);
        CHECK_FALSE(inner.cancelled_caught());
        CHECK(outer.cancelled_caught());
    });
}

TEST_CASE(
    "taskgroups::triple_nested_shield_checkpoint_in_outer "
    "taskgroups::triple_nested_shield_checkpoint_in_middle: "
    "after a shield the first checkpoint throws",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const bool both : {true, false}) {
            CancelScope first;
            CancelScope second;
            bool passed = false;
            bool past_middle = false;
            const bool completed = co_await first.run([&]() -> Task<> {
                co_await second.run([&]() -> Task<> {
                    co_await shield([&]() -> Task<> {
                        first.cancel();
                        if (both) {
                            second.cancel();
                        }
                        co_await checkpoint();
                        passed = true;
                    });
                    if (!both) {
                        co_await checkpoint();
                        past_middle = true;
                    }
                });
                CHECK(both);
                co_await checkpoint();
            });
            CHECK(passed);
            CHECK_FALSE(past_middle);
            CHECK_FALSE(completed);
        }
    });
}

TEST_CASE(
    "taskgroups::shielded_cleanup_after_cancel: cleaning up may wait, behind a shield",
    "[shield]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool cleaned = false;
        co_await move_on_after(0.001, [&]() -> Task<> {
            std::exception_ptr cancelled;
            try {
                co_await concurrency::sleep_forever();
            } catch (const Cancelled&) {
                CHECK(effective_deadline() == -inf);
                cancelled = std::current_exception();
            }
            co_await shield([&]() -> Task<> {
                CHECK_FALSE(effective_deadline());
                co_await sleep(0.001);
                cleaned = true;
            });
            CHECK(effective_deadline() == -inf);
            std::rethrow_exception(cancelled);
        });
        CHECK(cleaned);
    });
}

// SPDX-License-Identifier: BSL-1.0
// By what a scope was cancelled first: by hand, with a reason, or by its deadline.
#include "concurrency/cancel.hpp"
#include "concurrency/testing.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <string>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::current_time;
using concurrency::fail_after;
using concurrency::fail_at;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::testing::MockClock;

namespace {

// Why the next checkpoint throws.
Task<std::string> reason_here() {
    std::string reason = "none";
    try {
        co_await checkpoint();
    } catch (const Cancelled& cancelled) {
        reason = cancelled.reason();
    }
    co_return reason;
}

constexpr const char* timed_out = "the time limit of a block has passed";

}  // namespace

TEST_CASE(
    "taskgroups::cancel_reason: Cancelled says why, and the first reason stands",
    "[causes]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope;
        std::string reason;
        std::string again;
        co_await scope.run([&]() -> Task<> {
            scope.cancel("enough");
            scope.cancel("more than that");
            reason = co_await reason_here();
            again = co_await reason_here();
            co_await checkpoint();
        });
        CHECK(reason == "enough");
        CHECK(again == "enough");
        CancelScope before;
        before.cancel("before it began");
        co_await before.run([&]() -> Task<> { reason = co_await reason_here(); });
        CHECK(reason == "before it began");
        auto late = concurrency::move_on_after(1);
        co_await late.run([&]() -> Task<> {
            try {
                co_await sleep_forever();
            } catch (const Cancelled& cancelled) {
                reason = cancelled.reason();
            }
        });
        CHECK(reason == "deadline exceeded");
    });
}

TEST_CASE(
    "causes: of nested scopes the reason is that of the one which absorbs", "[causes]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        std::string both;
        std::string shielded;
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                inner.cancel("inner");
                CHECK_AWAITED(reason_here(), == "inner");
                outer.cancel("outer");
                both = co_await reason_here();
                inner.set_shield(true);
                shielded = co_await reason_here();
                co_await checkpoint();
            });
        });
        CHECK(both == "outer");
        CHECK(shielded == "inner");
        CHECK(inner.cancelled_caught());
        CHECK_FALSE(outer.cancelled_caught());
    });
}

TEST_CASE(
    "causes: cancelled by hand, then past its deadline: fail_after is no timeout",
    "[causes]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        std::string reason;
        // The deadline passes while the block cleans up behind a shield.
        co_await fail_after(5, [&](CancelScope& scope) -> Task<> {
            scope.cancel("by hand");
            co_await concurrency::shield(sleep(60));
            reason = co_await reason_here();
            co_await checkpoint();
        });
        CHECK(reason == "by hand");
        // It passes while the block computes.
        co_await fail_after(5, [&](CancelScope& scope) -> Task<> {
            scope.cancel("by hand");
            clock.jump(60);
            co_await checkpoint();
        });
        // It is moved into the past, or to a later time, when it is too late for that.
        co_await fail_after(5, [&](CancelScope& scope) -> Task<> {
            scope.cancel("by hand");
            scope.set_deadline(current_time() - 1);
            reason = co_await reason_here();
            scope.set_deadline(current_time() + 60);
            co_await checkpoint();
        });
        CHECK(reason == "by hand");
        // Cancelled before it is entered, and entered past its deadline.
        auto early = fail_after(5);
        early.cancel("early");
        co_await early.run([&]() -> Task<> {
            clock.jump(60);
            reason = co_await reason_here();
            co_await checkpoint();
        });
        CHECK(reason == "early");
        CHECK(early.cancelled_caught());
        auto absolute = fail_at(current_time() + 5);
        absolute.cancel("early");
        clock.jump(60);
        CHECK_AWAITED(absolute.run(checkpoint()), == false);
    });
}

TEST_CASE(
    "causes: past its deadline, then cancelled by hand: fail_after is a timeout",
    "[causes]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        std::string reason;
        auto while_it_cleans_up = [&] {
            return fail_after(5, [&](CancelScope& scope) -> Task<> {
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    scope.cancel("too late");
                }
                reason = co_await reason_here();
                co_await checkpoint();
            });
        };
        CHECK_AWAITED(test::thrown_by(while_it_cleans_up), == timed_out);
        CHECK(reason == "deadline exceeded");
        auto while_it_computes = [&] {
            return fail_after(5, [&](CancelScope& scope) -> Task<> {
                clock.jump(60);
                scope.cancel("too late");
                co_await checkpoint();
            });
        };
        CHECK_AWAITED(test::thrown_by(while_it_computes), == timed_out);
        auto before_it_is_entered = [&]() -> Task<> {
            auto scope = fail_at(current_time() + 5);
            clock.jump(60);
            scope.cancel("too late");
            co_await scope.run(checkpoint());
        };
        CHECK_AWAITED(test::thrown_by(before_it_is_entered), == timed_out);
        auto with_a_value = [&] {
            return fail_after(5, [&](CancelScope& scope) -> Task<int> {
                clock.jump(60);
                scope.cancel("too late");
                co_await checkpoint();
                co_return 1;
            });
        };
        CHECK_AWAITED(test::thrown_by(with_a_value), == timed_out);
    });
}

TEST_CASE(
    "causes: a timeout of an inner block that the outer one absorbs is none", "[causes]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        CancelScope outer;
        bool after = false;
        const bool completed = co_await outer.run([&]() -> Task<> {
            co_await fail_after(5, [&]() -> Task<> {
                clock.jump(60);
                co_await concurrency::cancel_shielded_checkpoint();
                outer.cancel();
                co_await checkpoint();
            });
            after = true;
        });
        CHECK_FALSE(completed);
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "causes: a block that ended in time is not cancelled when its deadline passes",
    "[causes]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        auto scope = fail_after(5);
        CHECK_AWAITED(scope.run(sleep(4)), == true);
        clock.jump(60);
        CHECK_FALSE(scope.cancel_called());
        scope.cancel("long gone");
        CHECK(scope.cancel_called());
        CHECK_FALSE(scope.cancelled_caught());
        // Past its deadline, but without a checkpoint since.
        co_await fail_after(5, [&]() -> Task<> {
            clock.jump(60);
            co_return;
        });
    });
}

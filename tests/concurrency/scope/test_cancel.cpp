// SPDX-License-Identifier: BSL-1.0
// CancelScope: who is cancelled, and who absorbs it.
#include "concurrency/cancel.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::sleep;
using concurrency::Task;

namespace {

Task<int> give(int value) {
    co_return value;
}

std::exception_ptr group_of_both() {
    return std::make_exception_ptr(concurrency::BaseExceptionGroup(
        "both",
        {std::make_exception_ptr(Cancelled()),
         std::make_exception_ptr(std::runtime_error("real"))}
    ));
}

}  // namespace

TEST_CASE(
    "taskgroups::cancel_before_entering_scope trio.run::cancel_unbound.a: a scope "
    "cancelled before it is entered "
    "ends its body at the first checkpoint",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        scope.cancel();
        CHECK(scope.cancel_called());
        bool begun = false;
        bool passed = false;
        const bool completed = co_await scope.run([&]() -> Task<> {
            begun = true;
            co_await checkpoint();
            passed = true;
        });
        CHECK(begun);
        CHECK_FALSE(passed);
        CHECK_FALSE(completed);
        CHECK(scope.cancelled_caught());
    });
}

TEST_CASE(
    "taskgroups::cancelled_not_caught trio.run::cancel_scope_nesting.c: a body without "
    "a checkpoint completes",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        const bool completed = co_await scope.run([&]() -> Task<> {
            scope.cancel();
            co_await concurrency::cancel_shielded_checkpoint();
        });
        CHECK(completed);
        CHECK(scope.cancel_called());
        CHECK_FALSE(scope.cancelled_caught());
        co_await checkpoint();
    });
}

TEST_CASE(
    "trio.run::cancel_edge_cases.a trio.run::cancel_edge_cases.b "
    "trio.run::cancel_points.a: while a scope is "
    "cancelled every checkpoint throws",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        int thrown = 0;
        co_await scope.run([&]() -> Task<> {
            concurrency::check_cancelled();
            CHECK_FALSE(concurrency::cancel_pending());
            scope.cancel();
            scope.cancel();
            CHECK(concurrency::cancel_pending());
            for (int i = 0; i < 3; ++i) {
                try {
                    co_await sleep(1);
                } catch (const Cancelled&) {
                    ++thrown;
                }
                try {
                    concurrency::check_cancelled();
                } catch (const Cancelled&) {
                    ++thrown;
                }
            }
            co_await checkpoint();
            thrown = 0;
        });
        CHECK(thrown == 6);
        CHECK(scope.cancelled_caught());
        co_await checkpoint();
    });
}

TEST_CASE(
    "lowlevel::cancel_shielded_checkpoint trio.run::cancel_points.b: "
    "cancel_shielded_checkpoint passes where a checkpoint throws",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        bool passed = false;
        const bool completed = co_await scope.run([&]() -> Task<> {
            scope.cancel();
            co_await concurrency::cancel_shielded_checkpoint();
            co_await concurrency::cancel_shielded_checkpoint();
            passed = true;
            co_await checkpoint();
        });
        CHECK(passed);
        CHECK_FALSE(completed);
    });
}

TEST_CASE("CancelScope: awaiting a coroutine is not a checkpoint", "[cancel]") {
    concurrency::run([]() -> Task<> {
        CancelScope scope;
        int value = 0;
        const bool completed = co_await scope.run([&]() -> Task<> {
            scope.cancel();
            value = co_await give(7);
        });
        CHECK(completed);
        CHECK(value == 7);
        CHECK_FALSE(scope.cancelled_caught());
    });
}

TEST_CASE("CancelScope: gives the body's value, or none", "[cancel]") {
    test::over_backends([]() -> Task<> {
        CancelScope whole;
        CHECK_AWAITED(whole.run(give(5)), == 5);
        CancelScope cut;
        const auto value = co_await cut.run([](CancelScope& scope) -> Task<int> {
            scope.cancel();
            co_await checkpoint();
            co_return 5;
        });
        CHECK_FALSE(value);
    });
}

TEST_CASE(
    "taskgroups::cancelled_raises_beyond_origin_unshielded: the inner scope is "
    "cancelled, then the outer one: that "
    "absorbs",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        bool between = false;
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                inner.cancel();
                try {
                    co_await checkpoint();
                } catch (...) {
                    outer.cancel();
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
    "taskgroups::cancelled_raises_beyond_origin_shielded: with a shield around it the "
    "inner scope absorbs",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope outer;
        CancelScope inner({.shield = true});
        bool between = false;
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                inner.cancel();
                try {
                    co_await checkpoint();
                } catch (...) {
                    outer.cancel();
                    throw;
                }
            });
            between = true;
        });
        CHECK(between);
        CHECK(inner.cancelled_caught());
        CHECK(outer.cancel_called());
        CHECK_FALSE(outer.cancelled_caught());
    });
}

TEST_CASE(
    "taskgroups::cancelled_scope_based_checkpoint: with both cancelled the outer one "
    "absorbs",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        co_await outer.run([&]() -> Task<> {
            outer.cancel();
            inner.cancel();
            co_await inner.run(concurrency::sleep_forever());
        });
        CHECK_FALSE(inner.cancelled_caught());
        CHECK(outer.cancelled_caught());
    });
}

TEST_CASE(
    "trio.run::cancel_scope_nesting.a: of three scopes the outermost that is cancelled "
    "absorbs",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope outer;
        CancelScope middle;
        CancelScope inner;
        bool after = false;
        const bool completed = co_await outer.run([&]() -> Task<> {
            co_await middle.run([&]() -> Task<> {
                co_await inner.run([&]() -> Task<> {
                    inner.cancel();
                    middle.cancel();
                    co_await checkpoint();
                });
            });
            after = true;
        });
        CHECK(completed);
        CHECK(after);
        CHECK((inner.cancel_called() && !inner.cancelled_caught()));
        CHECK(middle.cancelled_caught());
        CHECK_FALSE(outer.cancel_called());
    });
}

TEST_CASE(
    "trio.run::cancel_unbound.c trio.run::cancel_unbound.d: a scope is entered once, "
    "and a cancel after it was left reaches nobody",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        std::string inside;
        co_await scope.run([&]() -> Task<> {
            auto again = [&] {
                return scope.run(give(1));
            };
            inside = co_await test::thrown_by(again);
        });
        CHECK(inside == "a CancelScope can be entered once, and it has been");
        scope.cancel();
        CHECK(scope.cancel_called());
        CHECK_FALSE(scope.cancelled_caught());
        co_await checkpoint();
        auto again = [&] {
            return scope.run(give(1));
        };
        CHECK_AWAITED(test::thrown_by(again), == inside);
    });
}

TEST_CASE(
    "taskgroups::exception_group_filtering: a cancelled scope takes cancellations out "
    "of a group",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope idle;
        auto passes = [&] {
            return idle.run([]() -> Task<> {
                std::rethrow_exception(group_of_both());
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(passes), == "[Cancelled, real]");
        CancelScope cancelled;
        auto filters = [&] {
            return cancelled.run([&]() -> Task<> {
                cancelled.cancel();
                std::rethrow_exception(group_of_both());
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(filters), == "[real]");
        CHECK(cancelled.cancelled_caught());
    });
}

TEST_CASE(
    "trio.run::cancel_scope_no_cancellederror "
    "taskgroups::reraise_cancelled_in_excgroup: errors pass a cancelled scope, a group "
    "of cancellations does not",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        auto error = [&] {
            return scope.run([&]() -> Task<> {
                scope.cancel();
                throw std::runtime_error("body");
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(error), == "body");
        CHECK_FALSE(scope.cancelled_caught());
        CancelScope other;
        const bool completed = co_await other.run([&]() -> Task<> {
            other.cancel();
            throw concurrency::BaseExceptionGroup(
                "c", {std::make_exception_ptr(Cancelled())}
            );
            co_return;
        });
        CHECK_FALSE(completed);
        CHECK(other.cancelled_caught());
    });
}

TEST_CASE(
    "taskgroups::cancel_with_reason: Cancelled says why the scope was cancelled",
    "[cancel]"
) {
    concurrency::run([]() -> Task<> {
        CancelScope outer;
        std::string reason;
        co_await outer.run([&]() -> Task<> {
            CancelScope inner;
            inner.cancel("inner");
            outer.cancel("enough");
            outer.cancel("later");
            co_await inner.run([&]() -> Task<> {
                try {
                    co_await checkpoint();
                } catch (const Cancelled& cancelled) {
                    reason = cancelled.reason();
                    throw;
                }
            });
        });
        CHECK(reason == "enough");
        co_await concurrency::move_on_after(0, [&]() -> Task<> {
            try {
                co_await checkpoint();
            } catch (const Cancelled& cancelled) {
                reason = cancelled.reason();
                throw;
            }
        });
        CHECK(reason == "deadline exceeded");
    });
}

namespace {

Task<> nest(int depth, CancelScope& outermost, int& unwound) {
    if (depth == 0) {
        outermost.cancel();
        co_await checkpoint();
    }
    CancelScope scope;
    try {
        co_await scope.run([&] { return nest(depth - 1, outermost, unwound); });
    } catch (const Cancelled&) {
        ++unwound;
        throw;
    }
}

}  // namespace

TEST_CASE(
    "trio.run::very_deep_cancel_scope_nesting: thousands of scopes in one another",
    "[cancel]"
) {
    concurrency::run([]() -> Task<> {
        CancelScope outermost;
        int unwound = 0;
        const bool completed =
            co_await outermost.run([&] { return nest(5000, outermost, unwound); });
        CHECK_FALSE(completed);
        CHECK(unwound == 5000);
    });
}

TEST_CASE("CancelScope: belongs to the loop in which it is entered", "[cancel]") {
    concurrency::run([]() -> Task<> {
        CancelScope scope;
        co_await scope.run([&]() -> Task<> {
            const auto elsewhere = [&]() -> Task<> {
                CHECK_THROWS_AS(scope.cancel(), concurrency::RuntimeError);
                CHECK_THROWS_AS(scope.set_shield(true), concurrency::RuntimeError);
                CHECK_THROWS_AS(scope.set_deadline(1), concurrency::RuntimeError);
                co_return;
            };
            concurrency::run_async(elsewhere);
            co_return;
        });
        CHECK_FALSE(scope.cancel_called());
    });
}

TEST_CASE(
    "taskgroups::Uncancel.uncancel_after_scope_cancel "
    "taskgroups::Uncancel.cancel_counter_nested_scopes "
    "taskgroups::cancel_scope_cleared: after a scope that absorbed, all is as before",
    "[cancel]"
) {
    test::over_backends([]() -> Task<> {
        for (int i = 0; i < 3; ++i) {
            CancelScope outer;
            const bool completed = co_await outer.run([&]() -> Task<> {
                CancelScope inner;
                co_await inner.run([&]() -> Task<> {
                    outer.cancel();
                    co_await checkpoint();
                });
            });
            CHECK_FALSE(completed);
            CHECK_FALSE(concurrency::cancel_pending());
            co_await checkpoint();
            co_await sleep(0);
        }
    });
}

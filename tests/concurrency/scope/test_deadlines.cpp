// SPDX-License-Identifier: BSL-1.0
// move_on_after, fail_after and the like, and deadlines of scopes.
#include "concurrency/cancel.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::current_time;
using concurrency::fail_after;
using concurrency::fail_at;
using concurrency::inf;
using concurrency::move_on_after;
using concurrency::move_on_at;
using concurrency::sleep;
using concurrency::Task;
using concurrency::TimeoutError;
using concurrency::testing::MockClock;
using namespace std::chrono_literals;

namespace {

constexpr double soon = 0.005;

Task<int> give(int value, double after = 0) {
    co_await sleep(after);
    co_return value;
}

template <class Body>
Task<bool> times_out(Body& body) {
    bool thrown = false;
    try {
        co_await body();
    } catch (const TimeoutError&) {
        thrown = true;
    }
    co_return thrown;
}

}  // namespace

TEST_CASE(
    "taskgroups::move_on_after taskgroups::deadline_reached_on_start "
    "cancel::test_move_on_after_zero_deadline_sets_flag "
    "utils::TestSleep.test_sleep_is_cancellable trio.timeouts::move_on_after: the "
    "limit ends a wait",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const double delay : {-1.0, 0.0, soon}) {
            bool begun = false;
            bool after = false;
            bool caught = false;
            auto scope = move_on_after(delay);
            const bool completed = co_await scope.run([&]() -> Task<> {
                begun = true;
                co_await concurrency::sleep_forever();
                after = true;
            });
            caught = scope.cancel_called() && scope.cancelled_caught();
            CHECK(begun);
            CHECK_FALSE(after);
            CHECK_FALSE(completed);
            CHECK(caught);
            co_await checkpoint();
        }
    });
}

TEST_CASE(
    "taskgroups::fail_after cancel::test_fail_after_zero_deadline_raises_fast "
    "taskgroups::fail_after_after_cancellation: "
    "the limit is an error",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const double delay : {-1.0, 0.0, soon}) {
            bool begun = false;
            bool after = false;
            CancelScope* inside = nullptr;
            bool reported = false;
            auto body = [&] {
                return fail_after(delay, [&](CancelScope& scope) -> Task<> {
                    inside = &scope;
                    begun = true;
                    try {
                        co_await concurrency::sleep_forever();
                    } catch (const Cancelled&) {
                        reported = inside->cancel_called();
                        throw;
                    }
                    after = true;
                });
            };
            CHECK_AWAITED(times_out(body), == true);
            CHECK(begun);
            CHECK(reported);
            CHECK_FALSE(after);
        }
    });
}

TEST_CASE(
    "taskgroups::fail_at taskgroups::move_on_at "
    "cancel::test_fail_at_future_and_past_deadlines "
    "cancel::test_move_on_at_future_and_past trio.timeouts::fail "
    "trio.timeouts::sleep.b: a deadline, past or to come",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const double ahead : {-1.0, 0.0, soon}) {
            const double deadline = current_time() + ahead;
            auto fails = [&] {
                return fail_at(deadline, concurrency::sleep_forever());
            };
            CHECK_AWAITED(times_out(fails), == true);
            CHECK_AWAITED(move_on_at(deadline, checkpoint()), == false);
            CHECK(current_time() >= deadline);
        }
        CHECK_AWAITED(fail_after(60, give(2)), == 2);
    });
}

TEST_CASE(
    "taskgroups::move_on_after_no_timeout taskgroups::fail_after_no_timeout "
    "taskgroups::fail_at_no_timeout "
    "taskgroups::move_on_at_no_timeout "
    "cancel::test_fail_after_none_completes_successfully "
    "cancel::test_move_on_after_none_completes_successfully "
    "cancel::test_fail_at_none_completes_successfully "
    "cancel::test_move_on_at_none_completes_successfully: None is no limit",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        const auto body = [](CancelScope& scope) -> Task<bool> {
            co_await sleep(0.001);
            co_return scope.deadline() == inf && !scope.cancel_called();
        };
        CHECK_AWAITED(move_on_after(std::nullopt, body), == true);
        CHECK_AWAITED(move_on_at(std::nullopt, body), == true);
        CHECK_AWAITED(fail_after(std::nullopt, body), == true);
        CHECK_AWAITED(fail_at(std::nullopt, body), == true);
        auto scope = fail_after(std::nullopt);
        CHECK_AWAITED(scope.run(sleep(0)), == true);
        CHECK_FALSE(scope.cancelled_caught());
    });
}

TEST_CASE(
    "cancel::test_none_timeout_still_cancellable "
    "cancel::test_none_move_on_after_still_cancellable "
    "cancel::test_fail_at_none_still_cancellable "
    "cancel::test_move_on_at_none_still_cancellable: "
    "without a limit a scope around still cancels",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        int after = 0;
        const auto count = [&](auto limited) -> Task<> {
            co_await std::move(limited);
            ++after;
        };
        const bool a =
            co_await move_on_after(0, count(fail_after(std::nullopt, sleep(60))));
        const bool b =
            co_await move_on_after(0, count(fail_at(std::nullopt, sleep(60))));
        const bool c =
            co_await move_on_after(0, count(move_on_after(std::nullopt, sleep(60))));
        const bool d =
            co_await move_on_after(0, count(move_on_at(std::nullopt, sleep(60))));
        CHECK_FALSE((a || b || c || d));
        CHECK(after == 0);
    });
}

TEST_CASE(
    "limits: a body without a checkpoint completes under a limit of zero", "[limits]"
) {
    concurrency::run([]() -> Task<> {
        CancelScope scope({.deadline = current_time()});
        const bool completed = co_await scope.run([]() -> Task<> { co_return; });
        CHECK(completed);
        CHECK(scope.cancel_called());
        CHECK_FALSE(scope.cancelled_caught());
        co_await fail_after(0, []() -> Task<> { co_return; });
    });
}

TEST_CASE("limits: the body's value comes out, also of a Task", "[limits]") {
    test::with_mock_clock([]() -> Task<> {
        CHECK_AWAITED(move_on_after(60s, give(5)), == 5);
        CHECK_AWAITED(move_on_after(1ms, give(5, 60)), == std::nullopt);
        CHECK_AWAITED(fail_after(60, [] { return give(9); }), == 9);
        CHECK_AWAITED(move_on_after(60, {.shield = true}, give(6)), == 6);
    });
}

TEST_CASE(
    "taskgroups::nested_move_on_after "
    "cancel::test_nested_scopes_fail_after_inside_move_on_after "
    "taskgroups::nested_fail_after: of nested limits the one that passes first ends "
    "what is in it",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool between = false;
        CancelScope inner({.deadline = current_time() + 60});
        auto outer = move_on_after(soon);
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                CHECK(concurrency::effective_deadline() == outer.deadline());
                co_await concurrency::sleep_forever();
            });
            between = true;
        });
        CHECK_FALSE(between);
        CHECK(outer.cancelled_caught());
        CHECK_FALSE(inner.cancel_called());
        CHECK_FALSE(inner.cancelled_caught());

        auto later = move_on_after(60);
        const bool completed = co_await later.run([&]() -> Task<> {
            auto fails = [] {
                return fail_after(soon, sleep(60));
            };
            CHECK_AWAITED(times_out(fails), == true);
            co_await sleep(0.001);
            between = true;
        });
        CHECK(completed);
        CHECK(between);
        CHECK_FALSE(later.cancelled_caught());
    });
}

TEST_CASE("limits: of two limits that pass at once the outer one absorbs", "[limits]") {
    test::with_mock_clock([]() -> Task<> {
        const double deadline = current_time() + soon;
        CancelScope outer({.deadline = deadline});
        CancelScope inner({.deadline = deadline});
        const bool completed = co_await outer.run([&]() -> Task<> {
            co_await inner.run(concurrency::sleep_forever());
        });
        CHECK_FALSE(completed);
        CHECK(outer.cancelled_caught());
        CHECK_FALSE(inner.cancelled_caught());
    });
}

TEST_CASE(
    "limits: a deadline is seen before a sleep that ends at the same time", "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        const double deadline = current_time() + soon;
        CHECK_AWAITED(
            move_on_at(deadline, concurrency::sleep_until(deadline)), == false
        );
    });
}

TEST_CASE(
    "taskgroups::fail_after_cancelled_before_deadline "
    "taskgroups::fail_after_scope_cancelled_before_timeout: "
    "what was cancelled by hand first has not timed out",
    "[limits]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        bool after = false;
        co_await fail_after(60, [&](CancelScope& scope) -> Task<> {
            scope.cancel();
            co_await checkpoint();
            after = true;
        });
        co_await fail_after(soon, [&](CancelScope& scope) -> Task<> {
            scope.cancel();
            clock.jump(1);
            co_await checkpoint();
            after = true;
        });
        CHECK_FALSE(after);
        auto for_a_value = [] {
            return fail_after(60, [](CancelScope& scope) -> Task<int> {
                scope.cancel();
                co_await checkpoint();
                co_return 1;
            });
        };
        CHECK_AWAITED(
            test::thrown_by(for_a_value),
            == "the block was cancelled before it had a value to give"
        );
    });
}

TEST_CASE("limits: an error of the body goes before the timeout", "[limits]") {
    test::with_mock_clock([]() -> Task<> {
        auto body = [] {
            return fail_after(soon, []() -> Task<> {
                try {
                    co_await concurrency::sleep_forever();
                } catch (const Cancelled&) {
                    // and then:
                }
                throw std::runtime_error("body");
            });
        };
        CHECK_AWAITED(test::thrown_by(body), == "body");
    });
}

TEST_CASE(
    "taskgroups::deadline_moved trio.run::basic_timeout.b trio.run::basic_timeout.a: a "
    "deadline that is moved is obeyed",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto later = fail_after(soon);
        const bool in_time = co_await later.run([&]() -> Task<> {
            const double first = later.deadline();
            later.set_deadline(first + 60);
            co_await concurrency::sleep_until(first + soon);
        });
        CHECK(in_time);
        CancelScope sooner({.deadline = current_time() + 60});
        const bool completed = co_await sooner.run([&]() -> Task<> {
            sooner.set_deadline(current_time() + soon);
            co_await concurrency::sleep_forever();
        });
        CHECK_FALSE(completed);
        CancelScope past;
        int thrown = 0;
        co_await past.run([&]() -> Task<> {
            past.set_deadline(current_time() - 1);
            for (int i = 0; i < 2; ++i) {
                try {
                    co_await checkpoint();
                } catch (const Cancelled&) {
                    ++thrown;
                }
            }
        });
        CHECK(thrown == 2);
        CancelScope left({.deadline = current_time() + soon});
        CHECK_AWAITED(left.run(checkpoint()), == true);
        co_await sleep(2 * soon);
        CHECK_FALSE(left.cancel_called());
    });
}

TEST_CASE(
    "trio.run::yield_briefly_checks_for_timeout: a limit that passed while the task "
    "computed is seen at once",
    "[limits]"
) {
    test::with_mock_clock([](MockClock& clock) -> Task<> {
        bool after = false;
        const bool completed = co_await move_on_after(0.001, [&]() -> Task<> {
            clock.jump(1);
            co_await checkpoint();
            after = true;
        });
        CHECK_FALSE(completed);
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "trio.run::cancel_unbound.e trio.timeouts::timeout_deadline_on_entry: a scope that "
    "is not entered yet",
    "[limits]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope({.deadline = current_time() - 1});
        CHECK(scope.cancel_called());
        scope.set_deadline(current_time() + 60);
        CHECK(scope.cancel_called());
        CHECK_AWAITED(scope.run(checkpoint()), == false);
        // A relative limit counts from the entry.
        auto relative = move_on_after(0.02);
        co_await sleep(0.03);
        CHECK(relative.deadline() > current_time());
        CHECK_FALSE(relative.cancel_called());
        CHECK_AWAITED(relative.run(sleep(0)), == true);
    });
}

TEST_CASE(
    "trio.run::cancel_scope_deadline_duplicates: moving a deadline thousands of times "
    "leaves one",
    "[limits]"
) {
    concurrency::run([]() -> Task<> {
        CancelScope scope;
        const bool completed = co_await scope.run([&]() -> Task<> {
            const double now = current_time();
            for (int i = 0; i < 20'000; ++i) {
                scope.set_deadline(now + 60);
                scope.set_deadline(now + 120);
            }
            scope.set_deadline(now + 0.001);
            co_await concurrency::sleep_forever();
        });
        CHECK_FALSE(completed);
    });
}

TEST_CASE(
    "cancel::test_effective_deadline_inside_fail_at "
    "trio.run::current_effective_deadline "
    "taskgroups::shielded_deadline: effective_deadline is that of the first that can "
    "end this",
    "[limits]"
) {
    using concurrency::effective_deadline;
    CHECK_THROWS_AS(effective_deadline(), concurrency::RuntimeError);
    test::with_mock_clock([]() -> Task<> {
        CHECK_FALSE(effective_deadline());
        const double now = current_time();
        co_await fail_at(now + 10, [&]() -> Task<> {
            CHECK(effective_deadline() == now + 10);
            co_await fail_at(now + 5, [&](CancelScope& inner) -> Task<> {
                CHECK(effective_deadline() == now + 5);
                inner.set_deadline(now + 3);
                CHECK(effective_deadline() == now + 3);
                inner.set_deadline(now + 20);
                CHECK(effective_deadline() == now + 10);
                inner.set_shield(true);
                CHECK(effective_deadline() == now + 20);
                co_return;
            });
            CancelScope shield({.shield = true});
            co_await shield.run([&]() -> Task<> {
                CHECK_FALSE(effective_deadline());
                co_await move_on_at(now + 1000, [&]() -> Task<> {
                    CHECK(effective_deadline() == now + 1000);
                    co_await checkpoint();
                });
            });
            CancelScope cancelled;
            co_await cancelled.run([&]() -> Task<> {
                cancelled.cancel();
                CHECK(effective_deadline() == -inf);
                co_return;
            });
        });
        CHECK_FALSE(effective_deadline());
    });
}

TEST_CASE("trio.run::timekeeping: a limit is never early", "[limits]") {
    test::over_backends([]() -> Task<> {
        for (int i = 1; i < 20; ++i) {
            const double begin = current_time();
            const double delay = 0.0003 * i;
            co_await move_on_after(delay, concurrency::sleep_forever());
            CHECK(current_time() - begin >= delay);
        }
    });
}

// SPDX-License-Identifier: BSL-1.0
// Where a scope begins and ends, whoever made it, and what is left of it then.
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::current_time;
using concurrency::effective_deadline;
using concurrency::fail_after;
using concurrency::inf;
using concurrency::move_on_after;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::testing::wait_all_tasks_blocked;

TEST_CASE(
    "cancel::test_cancel_scope_alias_is_anyio_cancel_scope: there is one CancelScope, "
    "that of limits and groups as well",
    "[scope_order]"
) {
    STATIC_REQUIRE(std::is_same_v<decltype(move_on_after(1)), CancelScope>);
    STATIC_REQUIRE(std::is_same_v<decltype(fail_after(1)), CancelScope>);
    STATIC_REQUIRE(std::is_same_v<decltype(concurrency::move_on_at(1)), CancelScope>);
    STATIC_REQUIRE(std::is_same_v<decltype(concurrency::fail_at(1)), CancelScope>);
    STATIC_REQUIRE(std::is_same_v<
                   decltype(std::declval<TaskGroup&>().cancel_scope()),
                   CancelScope&>);
    STATIC_REQUIRE(std::is_final_v<CancelScope>);
    STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<CancelScope>);
}

TEST_CASE(
    "taskgroups::fail_after_reason taskgroups::fail_at_reason: TimeoutError says what "
    "the limit was given to say",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto after = [] {
            return fail_after(0, {.reason = "the server is slow"}, sleep_forever());
        };
        CHECK_AWAITED(test::thrown_by(after), == "the server is slow");
        auto at = [] {
            return concurrency::fail_at(
                current_time(), {.reason = "the server is slow"}, sleep_forever()
            );
        };
        CHECK_AWAITED(test::thrown_by(at), == "the server is slow");
        auto scope = fail_after(1, {.reason = std::string("of a scope")});
        std::string reason;
        auto run = [&] {
            return scope.run([&]() -> Task<> {
                try {
                    co_await sleep_forever();
                } catch (const Cancelled& e) {
                    reason = e.reason();
                    throw;
                }
            });
        };
        CHECK_AWAITED(test::thrown_by(run), == "of a scope");
        CHECK(reason == "of a scope");
        CHECK(scope.cancel_called());
        CHECK(scope.cancelled_caught());
        auto by_hand = move_on_after(60, {.reason = "not this one"});
        co_await by_hand.run([&]() -> Task<> {
            by_hand.cancel("by hand");
            try {
                co_await checkpoint();
            } catch (const Cancelled& e) {
                reason = e.reason();
            }
        });
        CHECK(reason == "by hand");
    });
}

TEST_CASE(
    "taskgroups::timeout_error_with_multiple_cancellations: of a group that a limit "
    "ends one plain TimeoutError comes out",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto limited = [] {
            return fail_after(0.1, []() -> Task<> {
                co_await create_task_group([](TaskGroup& group) -> Task<> {
                    group.start_soon([]() -> Task<> { co_await sleep(2); });
                    co_await sleep(2);
                });
            });
        };
        CHECK_AWAITED(
            test::thrown_by(limited), == "the time limit of a block has passed"
        );
        CHECK(current_time() == 0.1);
    });
}

TEST_CASE(
    "trio.timeouts::invalid_access_unentered: before it is entered, a relative limit "
    "has the deadline that it would have now",
    "[scope_order]"
) {
    test::with_mock_clock([](concurrency::testing::MockClock& clock) -> Task<> {
        auto scope = move_on_after(5);
        CHECK(scope.deadline() == current_time() + 5);
        clock.jump(10);
        CHECK(scope.deadline() == current_time() + 5);
        CHECK_FALSE(scope.cancel_called());
        scope.set_deadline(current_time() + 1);  // absolute from now on
        const double deadline = scope.deadline();
        clock.jump(0.5);
        CHECK(scope.deadline() == deadline);
        CHECK_AWAITED(scope.run(sleep(5)), == false);
        CHECK(current_time() == deadline);
    });
}

TEST_CASE(
    "taskgroups::cancelscope_wrong_exit_order trio.run::cancel_scope_misnesting_1 "
    "taskgroups::cancelscope_exit_before_enter: scopes cannot cross: a block begins "
    "where it is awaited, and ends there",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope first;
        CancelScope second;
        CancelScope never;
        std::string order;
        std::optional<Task<bool>> later;
        // Made inside the first block, awaited after it: it lies in no other.
        CHECK_AWAITED(
            first.run([&]() -> Task<> {
                later = second.run([&]() -> Task<> {
                    order += "second";
                    co_await checkpoint();
                });
                const Task<bool> dropped = never.run(checkpoint());
                order += "first ";
                co_return;
            }),
            == true
        );
        first.cancel();
        CHECK_AWAITED(std::move(*later), == true);
        CHECK(order == "first second");
        // What was never awaited was never entered, and may be.
        CHECK_AWAITED(never.run(checkpoint()), == true);
        CHECK_FALSE(effective_deadline());
    });
}

TEST_CASE(
    "taskgroups::cancelscope_exit_in_wrong_task trio.run::cancel_scope_misnesting_3 "
    "trio.run::cancel_scope_misnesting_2: a scope is that of the task which awaits it, "
    "and ends there with all that is in it",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope;
        bool alive = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            Task<bool> made_here = scope.run([&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                    inner.start_soon([&]() -> Task<> {
                        alive = true;
                        try {
                            co_await sleep_forever();
                        } catch (const Cancelled&) {
                            alive = false;
                            throw;
                        }
                    });
                    co_return;
                });
            });
            group.start_soon(
                [&](Task<bool> body) -> Task<> {
                    CHECK_AWAITED(std::move(body), == false);
                    CHECK_FALSE(alive);
                    after = true;
                },
                std::move(made_here)
            );
            co_await wait_all_tasks_blocked();
            CHECK(alive);
            scope.cancel();
            co_await checkpoint();  // this task is not in it
            bool refused = false;
            try {
                co_await scope.run(checkpoint());
            } catch (const concurrency::RuntimeError&) {
                refused = true;
            }
            CHECK(refused);
        });
        CHECK(after);
    });
}

TEST_CASE(
    "taskgroups::no_spin_on_done_task_in_cancel_scope: a scope whose block and task "
    "are "
    "gone can be cancelled, and reaches nobody",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope ended({.deadline = current_time() + 60});
        CancelScope failed({.deadline = current_time() + 60});
        auto group_fails = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    CHECK_AWAITED(ended.run(checkpoint()), == true);
                });
                group.start_soon([&]() -> Task<> {
                    co_await failed.run([]() -> Task<> {
                        throw std::runtime_error("failed");
                        co_return;
                    });
                });
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(group_fails), == "[failed]");
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([]() -> Task<> { co_await sleep(120); });
            for (CancelScope* scope : {&ended, &failed}) {
                CHECK_FALSE(scope->cancel_called());
                scope->cancel();
                CHECK(scope->cancel_called());
                CHECK_FALSE(scope->cancelled_caught());
                scope->set_shield(true);
                scope->set_deadline(current_time() + 1);
            }
            co_await wait_all_tasks_blocked();
        });
        CHECK(current_time() == 120);
    });
}

TEST_CASE(
    "taskgroups::escaping_cancelled_error_from_cancelled_task: after a limit inside "
    "has "
    "cut a sleep, cancelling the scope around lets nothing escape",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope;
        bool reached = false;
        CHECK_AWAITED(
            scope.run([&]() -> Task<> {
                co_await move_on_after(0.1, sleep(1));
                scope.cancel();
                reached = true;
            }),
            == true
        );
        CHECK(reached);
        CHECK_FALSE(scope.cancelled_caught());
        co_await checkpoint();
    });
}

TEST_CASE(
    "taskgroups::Uncancel.uncancel_after_scope_and_native_cancel: of two scopes that "
    "are both cancelled the inner one does not absorb, the outer one does",
    "[scope_order]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        bool between = false;
        co_await outer.run([&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                inner.cancel();
                outer.cancel();
                co_await checkpoint();
            });
            between = true;
        });
        CHECK_FALSE(between);
        CHECK_FALSE(inner.cancelled_caught());
        CHECK(outer.cancelled_caught());
        co_await checkpoint();  // nothing is left of it
    });
}

TEST_CASE(
    "trio.run::simple_cancel_scope_usage_doesnt_create_cyclic_garbage "
    "trio.run::cancel_scope_exit_doesnt_create_cyclic_garbage: what a cancelled block "
    "and an error held is gone with them",
    "[scope_order]"
) {
    struct Error : std::runtime_error {
        explicit Error(std::shared_ptr<int> held)
            : std::runtime_error("held"), held_(std::move(held)) {}

        std::shared_ptr<int> held_;
    };

    test::with_mock_clock([]() -> Task<> {
        const auto held = std::make_shared<int>(1);
        co_await move_on_after(1, [&]() -> Task<> {
            const auto copy = held;
            co_await sleep_forever();
        });
        CHECK(held.use_count() == 1);
        auto group_fails = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                const auto copy = held;
                group.start_soon([held]() -> Task<> {
                    throw Error(held);
                    co_return;
                });
                co_await sleep_forever();
            });
        };
        CHECK_AWAITED(test::thrown_by(group_fails), == "[held]");
        CHECK(held.use_count() == 1);
        // A scope takes the Cancelled out of a group that holds an error as well.
        CancelScope scope;
        auto filtered = [&] {
            return scope.run([&]() -> Task<> {
                scope.cancel();
                std::vector<std::exception_ptr> errors;
                try {
                    co_await checkpoint();
                } catch (...) {
                    errors.push_back(std::current_exception());
                }
                errors.push_back(std::make_exception_ptr(Error(held)));
                throw concurrency::BaseExceptionGroup("both", std::move(errors));
            });
        };
        CHECK_AWAITED(test::thrown_by(filtered), == "[held]");
        CHECK(held.use_count() == 1);
    });
}

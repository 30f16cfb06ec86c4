// SPDX-License-Identifier: BSL-1.0
// What comes out of a group and of its tasks, and to whom; checkpoints in one.
#include "concurrency/cancel.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using concurrency::BaseExceptionGroup;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::current_time;
using concurrency::is_cancelled;
using concurrency::shield;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TASK_STATUS_IGNORED;
using concurrency::TaskGroup;
using concurrency::TaskStatus;
using concurrency::testing::wait_all_tasks_blocked;

namespace {

// What it throws, a Cancelled as well.
template <class Body>
Task<std::exception_ptr> error_of(Body& body) {
    std::exception_ptr error;
    try {
        co_await body();
    } catch (...) {
        error = std::current_exception();
    }
    co_return error;
}

std::vector<std::exception_ptr> members_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const BaseExceptionGroup& group) {
        return group.exceptions();
    }
}

}  // namespace

// -- Checkpoints.

TEST_CASE(
    "lowlevel::checkpoint_if_cancelled: check_cancelled() lets nobody run, and throws "
    "where it is cancelled",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const bool cancelled : {false, true}) {
            bool other_ran = false;
            bool ran_before = false;
            bool threw = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    other_ran = true;
                    co_return;
                });
                if (cancelled) {
                    group.cancel();
                }
                try {
                    concurrency::check_cancelled();
                } catch (const Cancelled&) {
                    threw = true;
                }
                ran_before = other_ran;
                co_return;
            });
            CHECK(threw == cancelled);
            CHECK_FALSE(ran_before);
            CHECK(other_ran);
        }
    });
}

TEST_CASE(
    "lowlevel::checkpoint: checkpoint() lets another task run when it returns, and the "
    "group sees to it when it throws",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const bool cancelled : {false, true}) {
            bool other_ran = false;
            bool returned = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    other_ran = true;
                    co_return;
                });
                if (cancelled) {
                    group.cancel();
                }
                co_await checkpoint();
                returned = true;
                CHECK(other_ran);
            });
            CHECK(returned == !cancelled);
            CHECK(other_ran);
        }
    });
}

TEST_CASE(
    "eventloop::sleep_forever: it is ended by a cancellation only", "[group_ends]"
) {
    test::with_mock_clock([](concurrency::testing::MockClock& clock) -> Task<> {
        bool ended = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await sleep_forever();
                ended = true;
            });
            co_await sleep(3600.0 * 24 * 365 * 50);
            clock.jump(3600.0 * 24 * 365 * 20);
            co_await wait_all_tasks_blocked();
            group.cancel();
        });
        CHECK_FALSE(ended);
    });
}

TEST_CASE(
    "wrapper_functions::test_sleep_cancellable "
    "errors::test_is_cancelled_true_for_backend_exception: a sleeper of a cancelled "
    "group gets a Cancelled, which is_cancelled() knows",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        std::exception_ptr error;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                try {
                    co_await sleep(10);
                } catch (...) {
                    error = std::current_exception();
                    throw;
                }
            });
            co_await sleep(0.05);
            group.cancel();
        });
        CHECK(is_cancelled(error));
        CHECK(current_time() == 0.05);
    });
}

// -- Cancellations out of a group.

TEST_CASE(
    "taskgroups::propagate_native_cancellation_from_taskgroup: what is cancelled while "
    "a group waits at its end goes on to the scope around",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        bool after = false;
        std::exception_ptr error;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await wait_all_tasks_blocked();
                outer.cancel();
            });
            co_await outer.run([&]() -> Task<> {
                auto inner = [] {
                    return create_task_group([](TaskGroup& waiting) -> Task<> {
                        waiting.start_soon([]() -> Task<> { co_await sleep(60); });
                        co_return;
                    });
                };
                error = co_await error_of(inner);
                if (error) {
                    std::rethrow_exception(error);
                }
                after = true;
            });
        });
        CHECK(is_cancelled(error));
        CHECK(outer.cancelled_caught());
        CHECK_FALSE(after);
        CHECK(current_time() == 0);
    });
}

TEST_CASE(
    "taskgroups::Uncancel.uncancel_after_group_aexit_native_cancel: two scopes that "
    "are "
    "cancelled while a group waits give one Cancelled, to the outer one",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        int thrown = 0;
        std::string reason;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await wait_all_tasks_blocked();
                inner.cancel("first");
                co_await checkpoint();
                outer.cancel("last");
            });
            co_await outer.run([&]() -> Task<> {
                co_await inner.run([&]() -> Task<> {
                    try {
                        co_await create_task_group([](TaskGroup& waiting) -> Task<> {
                            waiting.start_soon([]() -> Task<> {
                                co_await shield(sleep(1));
                                co_await checkpoint();
                            });
                            co_return;
                        });
                    } catch (const Cancelled& e) {
                        ++thrown;
                        reason = e.reason();
                        throw;
                    }
                });
            });
        });
        CHECK(thrown == 1);
        CHECK(reason == "last");
        CHECK_FALSE(inner.cancelled_caught());
        CHECK(outer.cancelled_caught());
    });
}

TEST_CASE(
    "taskgroups::cancel_completed_task: a task that ends before it waits is no error "
    "of "
    "a cancelled group",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool ran = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                ran = true;
                co_return;
            });
            group.cancel();
            co_return;
        });
        CHECK(ran);
    });
}

TEST_CASE(
    "taskgroups::Uncancel.uncancel_after_child_task_failed: after a group that failed "
    "its host is not cancelled",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto group_fails = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon([]() -> Task<> {
                    throw std::runtime_error("failed");
                    co_return;
                });
                co_await sleep_forever();
            });
        };
        CHECK_AWAITED(test::thrown_by(group_fails), == "[failed]");
        CHECK_FALSE(concurrency::cancel_pending());
        co_await checkpoint();
        co_await sleep(1);
    });
}

// -- Errors out of a group.

TEST_CASE(
    "taskgroups::nested_exception_group_filtering: a cancelled scope takes the "
    "cancellations out of nested groups, and keeps the rest as it was",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        const auto original = std::make_exception_ptr(std::runtime_error("original"));
        CancelScope scope;
        auto throws = [&] {
            return scope.run([&]() -> Task<> {
                scope.cancel();
                std::vector<std::exception_ptr> errors{original};
                try {
                    co_await checkpoint();
                } catch (...) {
                    errors.push_back(std::current_exception());
                }
                const auto inner = std::make_exception_ptr(
                    BaseExceptionGroup("inner", std::move(errors))
                );
                throw BaseExceptionGroup("outer", {inner});
            });
        };
        const std::exception_ptr error = co_await error_of(throws);
        const auto outer = members_of(error);
        CHECK(outer.size() == 1);
        const auto inner = members_of(outer.at(0));
        CHECK(inner == std::vector<std::exception_ptr>{original});
    });
}

TEST_CASE(
    "taskgroups::Refcycles.exception_refcycles_parent_task "
    "taskgroups::Refcycles.exception_refcycles_propagate_cancellation_error "
    "trio.run::nursery_cancel_doesnt_create_cyclic_garbage: groups and scopes keep "
    "nothing that came out of them",
    "[group_ends]"
) {
    struct Error {
        std::shared_ptr<int> held;
    };

    test::with_mock_clock([]() -> Task<> {
        const auto held = std::make_shared<int>(1);
        CancelScope scope;
        bool caught = false;
        try {
            co_await create_task_group([&](TaskGroup& outer) -> Task<> {
                outer.start_soon([&]() -> Task<> {
                    co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                        inner.start_soon([&]() -> Task<> {
                            throw Error{held};
                            co_return;
                        });
                        co_return;
                    });
                });
                co_return;
            });
        } catch (const BaseExceptionGroup&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(held.use_count() == 1);
        co_await scope.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([held]() -> Task<> { co_await sleep_forever(); });
                co_await checkpoint();
                scope.cancel();
                const auto copy = held;
                co_await sleep_forever();
            });
        });
        CHECK(scope.cancelled_caught());
        CHECK(held.use_count() == 1);
    });
}

TEST_CASE(
    "trio.run::exc_info: two tasks that wait while each holds its error rethrow their "
    "own",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        std::string order;
        const auto work = [&order](std::string name, double delay) -> Task<> {
            std::exception_ptr error;
            try {
                throw std::runtime_error(name);
            } catch (const std::runtime_error&) {
                error = std::current_exception();
            }
            co_await sleep(delay);
            try {
                std::rethrow_exception(error);
            } catch (const std::runtime_error& e) {
                order += e.what();
            }
            co_await sleep(1);
            std::rethrow_exception(error);
        };
        auto group_fails = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(work, "a", 0.1);
                group.start_soon(work, "b", 0.05);
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(group_fails), == "[b]");
        CHECK(order == "ba");
    });
}

// -- start().

TEST_CASE(
    "trio.run::start_exception_preserves_cause_and_context: an error before started() "
    "comes out of start() as the same object, with what it holds",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        co_await create_task_group([](TaskGroup& group) -> Task<> {
            std::exception_ptr thrown;
            auto start = [&] {
                return group.start([&](TaskStatus<>&) -> Task<> {
                    try {
                        try {
                            throw std::logic_error("the cause");
                        } catch (const std::logic_error&) {
                            std::throw_with_nested(std::runtime_error("the error"));
                        }
                    } catch (...) {
                        thrown = std::current_exception();
                        throw;
                    }
                    co_return;
                });
            };
            const std::exception_ptr error = co_await error_of(start);
            CHECK(error == thrown);
            std::string cause;
            try {
                try {
                    std::rethrow_exception(error);
                } catch (const std::nested_exception& e) {
                    e.rethrow_nested();
                }
            } catch (const std::logic_error& e) {
                cause = e.what();
            }
            CHECK(cause == "the cause");
        });
    });
}

TEST_CASE(
    "taskgroups::start_sync_wrapper: a plain function may call started() and return "
    "the "
    "coroutine that goes on",
    "[group_ends]"
) {
    test::with_mock_clock([]() -> Task<> {
        int result = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const auto rest = [](int& out) -> Task<int> {
                co_await checkpoint();
                out = 8;
                co_return 8;
            };
            auto plain = [&](TaskStatus<int>& status) {
                status.started(5);
                return rest(result);
            };
            CHECK_AWAITED(group.start<int>(plain), == 5);
            CHECK(result == 0);
        });
        CHECK(result == 8);
    });
}

TEST_CASE(
    "taskgroups::TaskStatusTyping trio.run::Nursery_init: the types say what started() "
    "takes, and that a group comes from create_task_group()",
    "[group_ends]"
) {
    STATIC_REQUIRE(std::is_invocable_v<
                   decltype(&TaskStatus<int>::started),
                   TaskStatus<int>&,
                   int>);
    STATIC_REQUIRE_FALSE(std::is_invocable_v<
                         decltype(&TaskStatus<int>::started),
                         TaskStatus<int>&,
                         std::string>);
    STATIC_REQUIRE(std::is_invocable_v<
                   decltype(&TaskStatus<void>::started),
                   TaskStatus<void>&>);
    STATIC_REQUIRE_FALSE(std::is_default_constructible_v<TaskGroup>);
    STATIC_REQUIRE_FALSE(std::is_constructible_v<
                         TaskGroup,
                         std::shared_ptr<concurrency::detail::GroupState>>);
    const auto serve = [](TaskStatus<std::string>& status) -> Task<> {
        co_await checkpoint();
        status.started("ready");
        status.started("as often as one likes");
    };
    test::with_mock_clock([&]() -> Task<> { co_await serve(TASK_STATUS_IGNORED); });
}

// SPDX-License-Identifier: BSL-1.0
// Groups and shields: who is reached by a cancellation, and when.
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <exception>
#include <functional>
#include <string>

using concurrency::cancel_pending;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::current_time;
using concurrency::effective_deadline;
using concurrency::inf;
using concurrency::move_on_after;
using concurrency::shield;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;
using concurrency::testing::wait_all_tasks_blocked;

namespace {

// Something to wait for that counts how often it is asked to stop, and refuses.
class Refusing final : public concurrency::detail::Park {
public:
    explicit Refusing(int& asked)
        : Park(concurrency::detail::this_task()), asked_(asked) {}

    bool abort() noexcept override {
        ++asked_;
        return false;
    }

private:
    int& asked_;
};

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
    "taskgroups::cancel_with_nested_task_groups: while a shield is waited for, the "
    "scopes around ask nobody again to stop, and the shielded task never",
    "[shielded_groups]"
) {
    test::over_backends([]() -> Task<> {
        int asked = 0;
        int asked_shielded = 0;
        Refusing* refuses = nullptr;
        Refusing* shielded = nullptr;
        const auto wait_in = [](int& count, Refusing*& place) -> Task<> {
            Refusing wait(count);
            place = &wait;
            co_await wait;
            place = nullptr;
        };
        co_await create_task_group([&](TaskGroup& outer) -> Task<> {
            outer.start_soon([&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& middle) -> Task<> {
                    middle.start_soon([&]() -> Task<> {
                        co_await shield(
                            wait_in, std::ref(asked_shielded), std::ref(shielded)
                        );
                    });
                    co_await wait_in(asked, refuses);
                });
            });
            co_await wait_all_tasks_blocked();
            outer.cancel();
            co_await shield(wait_all_tasks_blocked(0.005));
            CHECK(asked == 1);
            CHECK(asked_shielded == 0);
            refuses->task().wake();
            co_await shield(wait_all_tasks_blocked(0.005));
            CHECK(refuses == nullptr);
            CHECK(asked_shielded == 0);
            shielded->task().wake();
        });
        CHECK(shielded == nullptr);
    });
}

TEST_CASE(
    "taskgroups::shielded_cancel_sleep_time: nothing runs while a cancelled group "
    "waits for a shielded task",
    "[shielded_groups]"
) {
    // The clock jumps only when nothing is to be run: it would stand still for ever.
    test::with_mock_clock([]() -> Task<> {
        bool finished = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await shield([&]() -> Task<> {
                    co_await sleep(0.2);
                    finished = true;
                });
                co_await checkpoint();
                after = true;
            });
            co_await checkpoint();
            group.cancel();
        });
        CHECK(finished);
        CHECK_FALSE(after);
        CHECK(current_time() == 0.2);
    });
}

TEST_CASE(
    "taskgroups::shielding: in a cancelled group a shielded sleep completes, and the "
    "next one does not",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool first = false;
        bool second = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&group]() -> Task<> {
                co_await checkpoint();
                group.cancel();
            });
            auto limit = move_on_after(10, {.shield = true});
            CHECK_AWAITED(limit.run(sleep(0.1)), == true);
            first = true;
            CHECK_FALSE(limit.cancel_called());
            CHECK(group.cancel_scope().cancel_called());
            co_await sleep(0.1);
            second = true;
        });
        CHECK(first);
        CHECK_FALSE(second);
        CHECK(current_time() == 0.1);
    });
}

TEST_CASE(
    "taskgroups::cancel_from_shielded_scope: what is cancelled from inside a shield is "
    "seen right after it, again and again",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        int thrown = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            co_await shield([&]() -> Task<> {
                group.cancel();
                CHECK_FALSE(effective_deadline());
                CHECK_FALSE(cancel_pending());
                co_await checkpoint();
            });
            CHECK(effective_deadline() == -inf);
            CHECK(cancel_pending());
            for (int i = 0; i < 2; ++i) {
                try {
                    co_await sleep(0.1);
                } catch (const Cancelled&) {
                    ++thrown;
                }
            }
        });
        CHECK(thrown == 2);
        CHECK(current_time() == 0);
    });
}

TEST_CASE(
    "taskgroups::shielding_immediate_scope_cancelled: a task cancels a shielded scope "
    "in which another sleeps",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool slept = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            CancelScope scope({.shield = true});
            group.start_soon([&scope]() -> Task<> {
                co_await checkpoint();
                scope.cancel();
            });
            co_await scope.run([&]() -> Task<> {
                co_await sleep(0.5);
                slept = true;
            });
            CHECK(scope.cancelled_caught());
        });
        CHECK_FALSE(slept);
        CHECK(current_time() == 0);
    });
}

TEST_CASE(
    "taskgroups::shielding_mutate: a started task shields its first sleep only",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool first = false;
        bool second = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            co_await group.start([&](TaskStatus<>& status) -> Task<> {
                CancelScope scope;
                co_await scope.run([&]() -> Task<> {
                    scope.set_shield(true);
                    status.started();
                    co_await sleep(0.1);
                    first = true;
                    scope.set_shield(false);
                    co_await sleep(0.1);
                    second = true;
                });
                after = true;
            });
            group.cancel();
        });
        CHECK(first);
        CHECK_FALSE(second);
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "taskgroups::nested_shield: a limit in a shield ends a sleep, and is the group's "
    "one error",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto group_fails = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                CancelScope scope;
                group.start_soon([&scope]() -> Task<> {
                    co_await sleep(0.1);
                    scope.cancel();
                });
                co_await scope.run([]() -> Task<> {
                    co_await shield([] {
                        return concurrency::fail_after(0.2, sleep(2));
                    });
                });
            });
        };
        CHECK_AWAITED(
            test::thrown_by(group_fails), == "[the time limit of a block has passed]"
        );
        CHECK(current_time() == 0.2);
    });
}

TEST_CASE(
    "taskgroups::cancel_child_task_when_host_is_shielded: a task is cancelled although "
    "its host sits in a shield",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        bool cancelled = false;
        bool seen = false;
        co_await outer.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                CancelScope told({.shield = true});
                group.start_soon([&]() -> Task<> {
                    try {
                        co_await sleep_forever();
                    } catch (const Cancelled&) {
                        cancelled = true;
                        told.cancel();
                        throw;
                    }
                });
                co_await checkpoint();
                co_await told.run([&]() -> Task<> {
                    outer.cancel();
                    co_await sleep(1);
                });
                seen = cancelled;
            });
        });
        CHECK(seen);
        CHECK(current_time() == 0);
    });
}

TEST_CASE(
    "taskgroups::cancel_shielding_start: while start() waits for a shielded task, a "
    "cancellation reaches that after its shield",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool waited = false;
        bool after = false;
        CancelScope scope;
        CancelScope event;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await wait_all_tasks_blocked();
                scope.cancel();
                co_await wait_all_tasks_blocked();
                CHECK_FALSE(waited);
                event.cancel();  // what the shielded wait waits for
            });
            co_await scope.run([&]() -> Task<> {
                co_await group.start([&](TaskStatus<>& status) -> Task<> {
                    co_await shield([&]() -> Task<> {
                        co_await event.run(sleep_forever());
                        waited = true;
                    });
                    co_await checkpoint();
                    after = true;
                    status.started();
                });
            });
        });
        CHECK(waited);
        CHECK_FALSE(after);
        CHECK(scope.cancelled_caught());
    });
}

TEST_CASE(
    "trio.run::failed_abort: a wait that refuses to stop gives its value, and the next "
    "checkpoint throws",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        int value = 0;
        bool passed = true;
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            co_await scope.run([&]() -> Task<> {
                value =
                    co_await group.start<int>([&](TaskStatus<int>& status) -> Task<> {
                        co_await shield([&]() -> Task<> {
                            scope.cancel();
                            co_await sleep(1);
                        });
                        status.started(7);
                    });
                passed = co_await passes();
            });
        });
        CHECK(value == 7);
        CHECK_FALSE(passed);
        CHECK(current_time() == 1);
    });
}

TEST_CASE(
    "trio.run::slow_abort_edge_cases: two scopes stop a slow wait once, and a shield "
    "that is put up meanwhile does not take that back",
    "[shielded_groups]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        int stopped = 0;
        bool threw = false;
        bool passed = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await wait_all_tasks_blocked();
                inner.cancel("inner");
                outer.cancel("outer");
            });
            co_await outer.run([&]() -> Task<> {
                CancelScope shielded;
                co_await inner.run([&]() -> Task<> {
                    co_await shielded.run([&]() -> Task<> {
                        try {
                            co_await group.start([&](TaskStatus<>&) -> Task<> {
                                std::exception_ptr error;
                                try {
                                    co_await sleep_forever();
                                } catch (const Cancelled&) {
                                    ++stopped;
                                    shielded.set_shield(true);
                                    error = std::current_exception();
                                }
                                co_await shield(sleep(1));
                                std::rethrow_exception(error);
                            });
                        } catch (const Cancelled&) {
                            threw = true;
                        }
                        passed = co_await passes();
                    });
                });
            });
        });
        CHECK(stopped == 1);
        CHECK(threw);
        CHECK(passed);
    });
}

// SPDX-License-Identifier: BSL-1.0
// Task groups that are cancelled, from inside, from outside, and behind shields.
#include "concurrency/task_group.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <functional>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::move_on_after;
using concurrency::shield;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

// Waits until it is cancelled, and says so.
Task<> until_cancelled(bool& cancelled) {
    try {
        co_await sleep_forever();
    } catch (const Cancelled&) {
        cancelled = true;
        throw;
    }
}

}  // namespace

TEST_CASE(
    "taskgroups::cancel taskgroups::escaping_cancelled_exception "
    "taskgroups::cancel_twice: a group that is "
    "cancelled by its own scope ends silently",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (int i = 0; i < 2; ++i) {
            bool cancelled = false;
            bool after = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(until_cancelled, std::ref(cancelled));
                group.start_soon([&group]() -> Task<> {
                    co_await sleep(0.001);
                    group.cancel();
                });
                co_await sleep_forever();
                after = true;
            });
            CHECK(cancelled);
            CHECK_FALSE(after);
            co_await checkpoint();
        }
        co_await create_task_group([](TaskGroup& group) -> Task<> {
            group.cancel_scope().set_deadline(concurrency::current_time() + 0.001);
            group.start_soon(sleep_forever);
            co_return;
        });
    });
}

TEST_CASE(
    "taskgroups::level_cancellation trio.run::precancelled_task "
    "taskgroups::cancelled_parent: a task of a cancelled group runs to its "
    "first checkpoint",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool begun = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.cancel();
            group.start_soon([&]() -> Task<> {
                begun = true;
                co_await checkpoint();
                after = true;
            });
            co_return;
        });
        CHECK(begun);
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "taskgroups::cancel_propagation taskgroups::cancel_cascade "
    "taskgroups::cancel_propagation_with_inner_spawn "
    "trio.run::cancel_inheritance taskgroups::cancel_exiting_task_group: a "
    "cancellation reaches the tasks of tasks",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        int cancelled = 0;
        bool after = false;
        co_await create_task_group([&](TaskGroup& outer) -> Task<> {
            for (int i = 0; i < 2; ++i) {
                outer.start_soon([&]() -> Task<> {
                    co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                        for (int k = 0; k < 2; ++k) {
                            inner.start_soon([&cancelled]() -> Task<> {
                                bool seen = false;
                                try {
                                    co_await until_cancelled(seen);
                                } catch (const Cancelled&) {
                                    ++cancelled;
                                    throw;
                                }
                            });
                        }
                        co_return;
                    });
                    after = true;
                });
            }
            co_await sleep(0.001);
            outer.cancel();
        });
        CHECK(cancelled == 4);
        CHECK_FALSE(after);
        bool seen = false;
        const bool completed = co_await move_on_after(0.001, [&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(until_cancelled, std::ref(seen));
                co_return;
            });
            after = true;
        });
        CHECK_FALSE(completed);
        CHECK(seen);
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "taskgroups::cancel_scope_in_another_task taskgroups::cancel_scope_in_child_task: "
    "a task cancels the scope of another",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool after_sleep = false;
        bool after_scope = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            CancelScope scope;
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    co_await sleep_forever();
                    after_sleep = true;
                });
                after_scope = true;
            });
            co_await checkpoint();
            scope.cancel();
            co_await sleep(0.001);
            CHECK_FALSE(group.cancel_scope().cancel_called());
        });
        CHECK_FALSE(after_sleep);
        CHECK(after_scope);
    });
}

TEST_CASE(
    "cancel::test_nested_scopes_inner_shielded_outer_cancel: a group waits for what is "
    "shielded",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool finished = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await shield([&]() -> Task<> {
                    co_await sleep(5);
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
    });
}

TEST_CASE(
    "trio.run::cancel_shield_abort: taking a shield away wakes tasks that wait behind "
    "it",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        bool cancelled = false;
        co_await outer.run([&]() -> Task<> {
            outer.cancel();
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.cancel_scope().set_shield(true);
                group.start_soon(until_cancelled, std::ref(cancelled));
                co_await checkpoint();
                CHECK_FALSE(cancelled);
                co_await shield([&]() -> Task<> {
                    group.cancel_scope().set_shield(false);
                    while (!cancelled) {
                        co_await checkpoint();
                    }
                });
            });
        });
        CHECK(cancelled);
        CHECK(outer.cancelled_caught());
    });
}

TEST_CASE(
    "TaskGroup: a hundred thousand sleepers end at once when they are cancelled",
    "[task_group]"
) {
    concurrency::run([]() -> Task<> {
        int ended = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 100'000; ++i) {
                group.start_soon(
                    [&ended](int n) -> Task<> {
                        try {
                            co_await sleep(60 + n);
                        } catch (const Cancelled&) {
                            ++ended;
                            throw;
                        }
                    },
                    i % 1000
                );
            }
            co_await checkpoint();
            group.cancel();
        });
        CHECK(ended == 100'000);
    });
}

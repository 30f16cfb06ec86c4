// SPDX-License-Identifier: BSL-1.0
// TaskGroup::start(): waiting until a task says that it is ready.
#include "concurrency/current_task.hpp"
#include "concurrency/task_group.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <stdexcept>
#include <string>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;

namespace {

Task<> serve(int number, TaskStatus<int>& status = concurrency::TASK_STATUS_IGNORED) {
    co_await checkpoint();
    status.started(number);
    co_await checkpoint();
}

}  // namespace

TEST_CASE(
    "taskgroups::start_with_value taskgroups::start_no_value trio.run::nursery_start.a "
    "trio.run::nursery_start.b: start waits for started(), "
    "and the task goes on",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool done = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const auto text = co_await group.start<std::string>(
                [&](int number, TaskStatus<std::string>& status) -> Task<> {
                    co_await sleep(0.001);
                    status.started("foo" + std::to_string(number));
                    co_await sleep(0.001);
                    done = true;
                },
                3
            );
            CHECK(text == "foo3");
            CHECK_FALSE(done);
            co_await group.start([](TaskStatus<>& status) -> Task<> {
                status.started();
                co_return;
            });
            CHECK_AWAITED(group.start<int>(serve, 7), == 7);
            co_await serve(8);
            co_await serve(9, TaskStatus<int>::ignored());
        });
        CHECK(done);
    });
}

TEST_CASE(
    "taskgroups::start_no_started_call taskgroups::start_crash_before_started_call "
    "trio.run::nursery_start.c "
    "taskgroups::start_sync_wrapper_called_twice "
    "trio.run::trio_run_strict_before_started: without started() it is an error of "
    "start, not of the group",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        co_await create_task_group([](TaskGroup& group) -> Task<> {
            auto silent = [&] {
                return group.start<int>([](TaskStatus<int>&) -> Task<> { co_return; });
            };
            CHECK_AWAITED(
                test::thrown_by(silent), == "the task ended without calling started()"
            );
            auto early = [&] {
                return group.start<int>([](TaskStatus<int>&) -> Task<> {
                    co_await checkpoint();
                    throw std::runtime_error("early");
                });
            };
            CHECK_AWAITED(test::thrown_by(early), == "early");
            auto at_once = [&] {
                return group.start<int>([](TaskStatus<int>&) -> Task<> {
                    throw std::runtime_error("at once");
                });
            };
            CHECK_AWAITED(test::thrown_by(at_once), == "at once");
            CHECK_FALSE(group.cancel_scope().cancel_called());
        });
    });
}

TEST_CASE(
    "taskgroups::start_crash_after_started_call taskgroups::start_called_twice: an "
    "error after started() is the group's",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        int value = 0;
        auto group_fails = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                value =
                    co_await group.start<int>([](TaskStatus<int>& status) -> Task<> {
                        status.started(2);
                        throw std::runtime_error("late");
                        co_return;
                    });
            });
        };
        CHECK_AWAITED(test::thrown_by(group_fails), == "[late]");
        CHECK(value == 2);
        bool refused = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            value = co_await group.start<int>([&](TaskStatus<int>& status) -> Task<> {
                status.started(1);
                try {
                    status.started(2);
                } catch (const concurrency::RuntimeError&) {
                    refused = true;
                }
                co_return;
            });
        });
        CHECK(value == 1);
        CHECK(refused);
    });
}

TEST_CASE(
    "taskgroups::start_cancelled taskgroups::start_cancels_parent_scope "
    "taskgroups::start_native_host_cancelled: when the wait is "
    "cancelled, the task is",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const bool before : {true, false}) {
            bool begun = false;
            bool cancelled = false;
            bool after = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                CancelScope scope;
                if (before) {
                    scope.cancel();
                } else {
                    scope.set_deadline(concurrency::current_time() + 0.001);
                }
                co_await scope.run([&]() -> Task<> {
                    co_await group.start([&](TaskStatus<>& status) -> Task<> {
                        begun = true;
                        try {
                            co_await sleep_forever();
                        } catch (const Cancelled&) {
                            cancelled = true;
                            throw;
                        }
                        status.started();
                    });
                    after = true;
                });
                CHECK(scope.cancelled_caught());
                CHECK_FALSE(group.cancel_scope().cancel_called());
            });
            CHECK(begun);
            CHECK(cancelled);
            CHECK_FALSE(after);
        }
        bool begun = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.cancel();
            co_await group.start([&](TaskStatus<>& status) -> Task<> {
                begun = true;
                co_await sleep(60);
                after = true;
                status.started();
            });
        });
        CHECK(begun);
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "trio.run::nursery_start.d trio.run::nursery_start.e trio.run::nursery_start.f "
    "taskgroups::no_called_started_twice: "
    "in a cancelled scope start gives what the task ended with",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        co_await create_task_group([](TaskGroup& group) -> Task<> {
            bool after = false;
            CancelScope stopped;
            stopped.cancel();
            co_await stopped.run([&]() -> Task<> {
                co_await group.start<int>(serve, 1);
                after = true;
            });
            CHECK_FALSE(after);
            CHECK(stopped.cancelled_caught());
            int value = 0;
            CancelScope finished;
            finished.cancel();
            const bool completed = co_await finished.run([&]() -> Task<> {
                value =
                    co_await group.start<int>([](TaskStatus<int>& status) -> Task<> {
                        status.started(5);
                        co_return;
                    });
            });
            CHECK(completed);
            CHECK(value == 5);
            CancelScope failed;
            failed.cancel();
            auto fails = [&] {
                return failed.run([&]() -> Task<> {
                    co_await group.start<int>([](TaskStatus<int>& status) -> Task<> {
                        status.started(5);
                        throw std::runtime_error("late");
                        co_return;
                    });
                });
            };
            CHECK_AWAITED(test::thrown_by(fails), == "late");
        });
    });
}

TEST_CASE(
    "taskgroups::start_cancel_after_error: an error beside a pending start", "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool after = false;
        auto body = [&] {
            return create_task_group([&](TaskGroup& outer) -> Task<> {
                co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                    inner.start_soon([]() -> Task<> {
                        co_await checkpoint();
                        co_await checkpoint();
                        throw std::runtime_error("inner");
                    });
                    co_await outer.start([&](TaskStatus<>& status) -> Task<> {
                        co_await sleep(60);
                        after = true;
                        status.started();
                    });
                });
            });
        };
        CHECK_AWAITED(test::thrown_by(body), == "[[inner]]");
        CHECK_FALSE(after);
    });
}

TEST_CASE(
    "trio.run::nursery_start_keeps_nursery_open: a pending start keeps the group open",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        int ended = 0;
        int refused = 0;
        co_await create_task_group([&](TaskGroup& outside) -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                for (const bool fails : {false, true}) {
                    outside.start_soon([&, fails]() -> Task<> {
                        try {
                            co_await group.start(
                                [&, fails](TaskStatus<>& status) -> Task<> {
                                    co_await sleep(0.003);
                                    if (fails) {
                                        throw std::runtime_error("no");
                                    }
                                    status.started();
                                    co_await sleep(0.003);
                                    ++ended;
                                }
                            );
                        } catch (const std::runtime_error&) {
                            ++refused;
                        }
                    });
                }
                co_await checkpoint();
            });
            CHECK(ended == 1);
        });
        CHECK(refused == 1);
    });
}

TEST_CASE(
    "trio.run::nursery_start_with_cancelled_nursery: what is below a task that was "
    "started is the group's",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        for (const bool before : {true, false}) {
            int cancelled = 0;
            const auto sleeper = [&cancelled]() -> Task<> {
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    ++cancelled;
                    throw;
                }
            };
            co_await create_task_group([&](TaskGroup& target) -> Task<> {
                co_await target.start([&](TaskStatus<>& status) -> Task<> {
                    co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                        inner.start_soon(sleeper);
                        inner.start_soon(sleeper);
                        co_await checkpoint();
                        if (before) {
                            target.cancel();
                        }
                        status.started();
                        if (!before) {
                            target.cancel();
                        }
                    });
                });
            });
            CHECK(cancelled == 2);
        }
    });
}

TEST_CASE(
    "taskgroups::start_parent_id: the parent is the starter, and then the group's host",
    "[start]"
) {
    test::with_mock_clock([]() -> Task<> {
        const auto host = concurrency::current_task().id();
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const auto starter = concurrency::current_task().id();
                co_await group.start(
                    {.name = "started"},
                    [&, starter](TaskStatus<>& status) -> Task<> {
                        CHECK(concurrency::current_task().name() == "started");
                        CHECK(concurrency::current_task().parent_id() == starter);
                        status.started();
                        CHECK(concurrency::current_task().parent_id() == host);
                        co_return;
                    }
                );
            });
            co_return;
        });
    });
}

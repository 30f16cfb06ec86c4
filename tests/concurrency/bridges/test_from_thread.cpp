// SPDX-License-Identifier: BSL-1.0
// from_thread: calls from threads back into the loop.
#include "concurrency/cancel.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/from_thread.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/to_thread.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace from_thread = concurrency::from_thread;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::current_token;
using concurrency::EventLoopToken;
using concurrency::OnCancel;
using concurrency::run_sync;
using concurrency::RuntimeError;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;

namespace {

Task<int> sum(int a, int b) {
    co_await checkpoint();
    co_return a + b;
}

Task<> fail() {
    co_await checkpoint();
    throw std::runtime_error("failed");
}

int plain_sum(int a, int b) {
    return a + b;
}

}  // namespace

TEST_CASE(
    "from_thread::RunAsync.run_corofunc_from_thread "
    "from_thread::RunAsync.run_async_from_thread_exception "
    "from_thread::RunAsync.run_anyio_async_func_from_thread "
    "trio.threads::trio_from_thread_run: a thread awaits a coroutine in its loop",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        const auto calls = [] {
            CHECK(from_thread::run(sum, 1, 2) == 3);
            CHECK_THROWS_WITH(from_thread::run(fail), "failed");
            from_thread::run([] { return sleep(0); });
        };
        co_await run_sync(calls);
    });
}

TEST_CASE(
    "from_thread::RunAsync.run_sync_from_thread "
    "from_thread::RunAsync.run_sync_from_thread_exception "
    "trio.threads::trio_from_thread_run_sync: a thread calls a plain function in its "
    "loop",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        const auto calls = [](const std::optional<EventLoopToken>& loop) {
            CHECK(from_thread::run_sync(plain_sum, 1, 2) == 3);
            CHECK(from_thread::run_sync([] { return current_token(); }) == *loop);
            const auto fails = [] {
                throw std::invalid_argument("no");
            };
            CHECK_THROWS_WITH(from_thread::run_sync(fails), "no");
        };
        co_await run_sync(calls, std::optional(current_token()));
    });
}

TEST_CASE(
    "trio.threads::trio_to_thread_run_sync_token "
    "trio.threads::trio_from_thread_token "
    "trio.threads::trio_from_thread_token_kwarg: the loop of a thread, with and "
    "without its token",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        const EventLoopToken mine = current_token();
        const auto calls = [&] {
            CHECK_THROWS_AS(current_token(), RuntimeError);
            CHECK(from_thread::run_sync([] { return current_token(); }) == mine);
            CHECK(from_thread::run_sync(mine, [] { return current_token(); }) == mine);
            CHECK(from_thread::run(mine, sum, 2, 3) == 5);
        };
        co_await run_sync(calls);
    });
}

TEST_CASE(
    "trio.threads::do_in_trio_thread "
    "from_thread::RunSync.run_sync_from_unclaimed_thread "
    "from_thread::RunSync.run_sync_from_unclaimed_thread_no_token "
    "from_thread::RunAsync.run_async_no_event_loop "
    "trio.threads::from_thread_no_token "
    "from_thread::thread_cancelled_not_in_worker_thread "
    "trio.threads::from_thread_check_cancelled_raises_in_foreign_threads: a thread "
    "that is nobody's names the loop",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        Future<void> event;
        Future<int> seen;
        std::thread thread([&, token = current_token()] {
            CHECK(from_thread::run_sync(token, plain_sum, 1, 2) == 3);
            CHECK(from_thread::run(token, sum, 2, 2) == 4);
            CHECK_THROWS_WITH(from_thread::run(token, fail), "failed");
            const auto fails = [] {
                throw std::invalid_argument("no");
            };
            CHECK_THROWS_WITH(from_thread::run_sync(token, fails), "no");
            CHECK_THROWS_AS(from_thread::run_sync([] {}), RuntimeError);
            CHECK_THROWS_AS(from_thread::run(sum, 1, 2), RuntimeError);
            CHECK_THROWS_AS(from_thread::check_cancelled(), RuntimeError);
            from_thread::run_sync(token, [&] { event.set_result(); });
            seen.set_result(7);
        });
        co_await event;
        CHECK_AWAITED(seen, == 7);
        thread.join();
    });
}

TEST_CASE(
    "trio.threads::do_in_trio_thread_from_trio_thread "
    "trio.threads::from_thread_inside_trio_thread: in the loop's own thread it is "
    "refused",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        const EventLoopToken token = current_token();
        CHECK_THROWS_AS(from_thread::run_sync(token, [] {}), RuntimeError);
        CHECK_THROWS_AS(from_thread::run(token, sum, 1, 2), RuntimeError);
        CHECK_THROWS_AS(from_thread::run_sync([] {}), RuntimeError);
        co_return;
    });
}

TEST_CASE(
    "from_thread::RunSync.run_sync_closed_event_loop: a loop that has ended refuses",
    "[from_thread]"
) {
    test::each_backend([](concurrency::Backend backend) {
        const auto token = concurrency::run(
            []() -> Task<EventLoopToken> { co_return current_token(); }, backend
        );
        CHECK_THROWS_AS(from_thread::run_sync(token, [] {}), RuntimeError);
        CHECK_THROWS_AS(from_thread::run(token, sum, 1, 2), RuntimeError);
    });
}

TEST_CASE(
    "from_thread::thread_cancelled "
    "trio.threads::from_thread_check_cancelled_no_abandon: a thread asks whether it is "
    "cancelled, and leaves by that",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        bool before = false;
        bool after = false;
        CancelScope scope;
        Future<void> begun;
        Future<void> cancelled;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    const auto call = [&] {
                        from_thread::check_cancelled();
                        before = true;
                        begun.set_result();
                        cancelled.result();
                        from_thread::check_cancelled();
                        after = true;
                    };
                    co_await run_sync(call);
                    after = true;
                });
            });
            co_await begun;
            scope.cancel();
            cancelled.set_result();
        });
        CHECK(before);
        CHECK_FALSE(after);
        CHECK(scope.cancelled_caught());
    });
}

TEST_CASE(
    "from_thread::thread_cancelled_and_abandoned "
    "trio.threads::from_thread_check_cancelled_abandon_on_cancel: an abandoned thread "
    "learns that it is cancelled",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        Future<void> begun;
        Future<void> go_on;
        Future<bool> thrown;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto call = [begun, go_on, thrown] {
                    begun.set_result();
                    go_on.result();
                    try {
                        from_thread::check_cancelled();
                        thrown.set_result(false);
                    } catch (const Cancelled&) {
                        thrown.set_result(true);
                        throw;
                    }
                };
                co_await run_sync({.on_cancel = OnCancel::abandon}, call);
            });
            co_await begun;
            group.cancel();
        });
        go_on.set_result();
        CHECK_AWAITED(thrown, == true);
    });
}

TEST_CASE(
    "from_thread::cancelscope_propagation "
    "trio.threads::from_thread_reuses_task: what a thread runs in the loop lies below "
    "its caller",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        bool timed_out = false;
        const auto caller = concurrency::current_task().id();
        co_await scope.run([&]() -> Task<> {
            const auto call = [&] {
                from_thread::run([&]() -> Task<> {
                    CHECK(concurrency::current_task().parent_id() == caller);
                    scope.cancel();
                    try {
                        co_await concurrency::fail_after(60, sleep_forever());
                    } catch (const concurrency::TimeoutError&) {
                        timed_out = true;
                    }
                });
            };
            co_await run_sync(call);
        });
        CHECK(scope.cancelled_caught());
        CHECK_FALSE(timed_out);
    });
}

TEST_CASE(
    "from_thread::cancelscope_propagation_when_abandoned: what an abandoned thread "
    "runs in the loop is in no scope",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        Future<void> event;
        Future<void> completed;
        co_await scope.run([&]() -> Task<> {
            auto call = [&scope, event, completed] {
                from_thread::run([&]() -> Task<> {
                    scope.cancel();
                    co_await event;
                    completed.set_result();
                });
            };
            co_await run_sync({.on_cancel = OnCancel::abandon}, call);
        });
        CHECK(scope.cancelled_caught());
        CHECK_FALSE(completed.done());
        event.set_result();
        co_await completed;
    });
}

TEST_CASE(
    "trio.threads::from_thread_host_cancelled: a thread cancels its caller, and calls "
    "on",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        for (const auto mode : {OnCancel::wait, OnCancel::abandon}) {
            for (const int kind : {0, 1, 2}) {
                CancelScope scope;
                Future<std::string> seen;
                co_await scope.run([&]() -> Task<> {
                    auto call = [&scope, seen, kind] {
                        from_thread::run_sync([&] { scope.cancel(); });
                        try {
                            switch (kind) {
                            case 0:
                                from_thread::run_sync([] {});
                                break;
                            case 1:
                                from_thread::run([]() -> Task<> { co_return; });
                                break;
                            default:
                                from_thread::run(checkpoint);
                            }
                            seen.set_result("returned");
                        } catch (const Cancelled&) {
                            seen.set_result("cancelled");
                            throw;
                        }
                    };
                    co_await run_sync({.on_cancel = mode}, call);
                });
                const bool waits = kind == 2;
                const bool waited = mode == OnCancel::wait;
                CHECK(scope.cancelled_caught() == (!waited || waits));
                const std::string expected = waits && waited ? "cancelled" : "returned";
                CHECK_AWAITED(seen, == expected);
            }
        }
    });
}

TEST_CASE(
    "trio.threads::reentry_doesnt_deadlock: tasks and threads that call one another, "
    "until they are cancelled",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        std::atomic<int> rounds{0};
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 4; ++i) {
                group.start_soon([&]() -> Task<> {
                    for (;;) {
                        const auto call = [] {
                            from_thread::run([] { return sleep(0); });
                        };
                        co_await run_sync(call);
                        if (++rounds == 200) {
                            group.cancel();
                        }
                    }
                });
            }
            co_return;
        });
        CHECK(rounds >= 200);
    });
}

TEST_CASE(
    "to_thread::asynclib_detection: in a worker thread no loop runs", "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        const auto call = [] {
            CHECK_THROWS_AS(concurrency::current_task(), RuntimeError);
            CHECK_THROWS_AS(current_token(), RuntimeError);
            const auto eight = []() -> Task<int> {
                co_return 8;
            };
            CHECK(concurrency::run(eight) == 8);
        };
        co_await run_sync(call);
    });
}

TEST_CASE(
    "from_thread: check_cancelled() and cancel_pending() of tasks work in threads",
    "[from_thread]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        Future<void> begun;
        Future<void> cancelled;
        bool left_by_it = false;
        const auto calls = [&] {
            concurrency::check_cancelled();
            CHECK_FALSE(concurrency::cancel_pending());
            // Of a loop of the thread's own, inside it.
            const bool inner = concurrency::run([&]() -> Task<bool> {
                begun.set_result();
                cancelled.result();
                concurrency::check_cancelled();
                co_return concurrency::cancel_pending();
            });
            CHECK_FALSE(inner);
            CHECK(concurrency::cancel_pending());
            try {
                concurrency::check_cancelled();
            } catch (const Cancelled&) {
                left_by_it = true;
                throw;
            }
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> { co_await run_sync(calls); });
            });
            co_await begun;
            scope.cancel();
            cancelled.set_result();
        });
        CHECK(left_by_it);
        CHECK(scope.cancelled_caught());
    });
    CHECK_THROWS_AS(concurrency::check_cancelled(), RuntimeError);
}

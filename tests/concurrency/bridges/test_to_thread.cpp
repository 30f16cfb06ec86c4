// SPDX-License-Identifier: BSL-1.0
// run_sync: functions that block, in threads.
#include "concurrency/bridges/bridge.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/from_thread.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/to_thread.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/deny_call.hpp"
#include "support/fork_child.hpp"

#include <boost/asio/post.hpp>

#include <sys/syscall.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::OnCancel;
using concurrency::run_sync;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;

namespace {

int sum(int a, int b) {
    return a + b;
}

concurrency::CapacityLimiter& tokens() {
    return concurrency::to_thread::current_default_thread_limiter();
}

std::ptrdiff_t thread_count() {
    using Entries = std::filesystem::directory_iterator;
    return std::distance(Entries("/proc/self/task"), Entries());
}

/// A call that a thread is in, until it is let go.
class Held {
public:
    int operator()() {
        begun_.set_result();
        let_go_.result();
        ended_.set_result();
        return 7;
    }

    Future<void> begun() const { return begun_; }

    Future<void> ended() const { return ended_; }

    void let_go() { let_go_.set_result(); }

private:
    Future<void> begun_;
    Future<void> let_go_;
    Future<void> ended_;
};

}  // namespace

TEST_CASE(
    "trio.threads::run_in_worker_thread to_thread::run_in_thread_exception "
    "utils::TestRunSync.test_basic_sync_function utils::TestRunSync.test_with_kwargs "
    "utils::TestRunSync.test_blocking_operation_doesnt_block_event_loop "
    "wrapper_functions::test_run_sync_basic "
    "wrapper_functions::test_run_sync_with_kwargs "
    "wrapper_functions::test_run_sync_error_propagation: run_sync calls in another "
    "thread, and gives the result or the error",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(run_sync(sum, 1, 2), == 3);
        CHECK_AWAITED(concurrency::to_thread::run_sync(sum, 2, 2), == 4);
        const auto here = std::this_thread::get_id();
        CHECK_AWAITED(run_sync([] { return std::this_thread::get_id(); }), != here);
        auto fails = [] {
            return run_sync([] { throw std::invalid_argument("a text"); });
        };
        CHECK_AWAITED(test::thrown_by(fails), == "a text");
        const auto text = co_await run_sync(
            [](std::unique_ptr<int> p, const std::string& t) {
                return t + std::to_string(*p);
            },
            std::make_unique<int>(4),
            std::string("n")
        );
        CHECK(text == "n4");
    });
}

TEST_CASE(
    "wrapper_functions::test_run_sync_doesnt_block_event_loop "
    "wrapper_functions::test_run_sync_concurrent_execution: the loop goes on, and "
    "calls run side by side",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        std::array<Held, 3> held;
        int ended = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (Held& each : held) {
                group.start_soon([&]() -> Task<> {
                    co_await run_sync(std::ref(each));
                    ++ended;
                });
            }
            for (const Held& each : held) {
                co_await each.begun();
            }
            CHECK(ended == 0);
            for (Held& each : held) {
                each.let_go();
            }
        });
        CHECK(ended == 3);
    });
}

TEST_CASE(
    "to_thread::run_in_thread_cancelled "
    "trio.threads::run_in_worker_thread_cancellation.c: in a cancelled scope nothing "
    "is called",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        bool begun = false;
        bool called = false;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                begun = true;
                co_await run_sync([&] { called = true; });
                after = true;
            });
            group.cancel();
            co_return;
        });
        CHECK(begun);
        CHECK_FALSE(called);
        CHECK_FALSE(after);
        CHECK(tokens().borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "to_thread::cancel_worker_thread "
    "trio.threads::run_in_worker_thread_cancellation.a "
    "trio.threads::run_in_worker_thread_cancellation.b "
    "to_thread::asyncio_cancel_native_task: a cancelled call is waited for, or "
    "abandoned",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        for (const auto mode : {OnCancel::wait, OnCancel::abandon, OnCancel::kill}) {
            Held held;
            bool left = false;
            int result = 0;
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await scope.run([&]() -> Task<> {
                        result = co_await run_sync({.on_cancel = mode}, std::ref(held));
                        co_await checkpoint();
                        result = 0;
                    });
                    left = true;
                });
                co_await held.begun();
                scope.cancel();
                for (int i = 0; i < 10; ++i) {
                    co_await checkpoint();
                }
                CHECK(left == (mode == OnCancel::abandon));
                CHECK(tokens().borrowed_tokens() == 1);
                held.let_go();
                co_await held.ended();
            });
            CHECK(result == (mode == OnCancel::abandon ? 0 : 7));
            while (tokens().borrowed_tokens() != 0) {
                co_await checkpoint();
            }
        }
    });
}

TEST_CASE(
    "to_thread::cancel_wait_on_thread: an abandoned call goes on beside others",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        Held held;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await run_sync({.on_cancel = OnCancel::abandon}, std::ref(held));
            });
            co_await held.begun();
            group.cancel();
        });
        CHECK_FALSE(held.ended().done());
        co_await run_sync([&] { held.let_go(); });
        co_await held.ended();
    });
}

TEST_CASE(
    "trio.threads::run_in_worker_thread_abandoned: the loop ends before an abandoned "
    "call",
    "[to_thread]"
) {
    test::each_backend([](concurrency::Backend backend) {
        const auto held = std::make_shared<Held>();
        const auto main = [&]() -> Task<> {
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await held->begun();
                    scope.cancel();
                });
                co_await scope.run([&]() -> Task<> {
                    auto call = [held] {
                        return (*held)();
                    };
                    co_await run_sync({.on_cancel = OnCancel::abandon}, call);
                });
            });
        };
        CHECK_NOTHROW(concurrency::run(main, backend));
        CHECK_FALSE(held->ended().done());
        held->let_go();
        held->ended().result();
    });
}

TEST_CASE(
    "to_thread::asyncio_run_sync_multiple "
    "from_thread::RunAsync.run_sync_from_thread_pooling "
    "to_thread::asyncio_no_recycle_stopping_worker: a thread that is free is used "
    "again, and ends with the loop",
    "[to_thread]"
) {
    test::each_backend([](concurrency::Backend backend) {
        const auto before = thread_count();
        const auto main = []() -> Task<> {
            std::set<std::thread::id> threads;
            for (int i = 0; i < 5; ++i) {
                threads.insert(co_await run_sync([] {
                    return std::this_thread::get_id();
                }));
            }
            CHECK(threads.size() == 1);
        };
        for (int i = 0; i < 3; ++i) {
            concurrency::run(main, backend);
            CHECK(thread_count() == before);
        }
    });
}

TEST_CASE(
    "to_thread::run_sync_worker_cyclic_references: the function and its arguments are "
    "destroyed before run_sync returns",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        const auto held = std::make_shared<int>(1);
        auto fn = [mine = held](const std::shared_ptr<int>& p) {
            return *p + *mine;
        };
        CHECK_AWAITED(run_sync(fn, held), == 2);
        CHECK(held.use_count() == 2);  // fn has one
        Future<void> begun;
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto calls = [mine = held, begun] {
                    begun.set_result();
                };
                co_await scope.run([&]() -> Task<> {
                    co_await run_sync({.on_cancel = OnCancel::abandon}, calls);
                });
            });
            co_await begun;
            scope.cancel();
        });
        while (tokens().borrowed_tokens() != 0) {
            co_await checkpoint();
        }
        CHECK(held.use_count() == 2);
    });
}

TEST_CASE(
    "trio.threads::recursive_to_thread: a thread calls into the loop, which calls "
    "another",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        const auto nested = [] {
            const auto outer = std::this_thread::get_id();
            const auto inner =
                concurrency::from_thread::run([]() -> Task<std::thread::id> {
                    co_return co_await run_sync([] {
                        return std::this_thread::get_id();
                    });
                });
            return outer != inner;
        };
        CHECK_AWAITED(run_sync(nested), == true);
    });
}

TEST_CASE(
    "trio.threads::trio_to_thread_run_sync_expected_error: a coroutine function is no "
    "function for a thread",
    "[to_thread]"
) {
    // Refused when compiling, by what this asks.
    const auto coroutine = []() -> Task<> {
        co_return;
    };
    CHECK(concurrency::detail::is_task<
          concurrency::detail::ThreadResult<decltype(coroutine)>>);
}

TEST_CASE(
    "trio.threads::run_in_worker_thread_fail_to_spawn: there can be no thread",
    "[to_thread][no-tsan]"
) {
    const pid_t child = test::fork_child([] {
        test::deny_call(SYS_clone3, EAGAIN);
        test::deny_call(SYS_clone, EAGAIN);
        return concurrency::run([]() -> Task<int> {
            int failed = 0;
            for (int i = 0; i < 2; ++i) {
                try {
                    co_await run_sync([] {});
                } catch (const std::system_error&) {
                    ++failed;
                }
            }
            co_return failed + (tokens().borrowed_tokens() == 0 ? 1 : 0);
        });
    });
    CHECK(test::exit_status(child) == 3);
}

TEST_CASE("run_sync: the loop ends while a thread is at work", "[to_thread]") {
    boost::asio::io_context context(1);
    Held held;
    bool was_cancelled = false;
    bool was_refused = false;
    const auto main = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const auto call = [&] {
                    held();
                    try {
                        concurrency::from_thread::run_sync([] {});
                    } catch (const RuntimeError&) {
                        was_refused = true;
                    }
                    try {
                        while (true) {
                            concurrency::from_thread::check_cancelled();
                            std::this_thread::yield();
                        }
                    } catch (const Cancelled&) {
                        was_cancelled = true;
                    }
                };
                co_await run_sync(call);
            });
            co_await held.begun();
            boost::asio::post(context, [&] {
                context.stop();
                held.let_go();
            });
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK(was_cancelled);
    CHECK(was_refused);
}

TEST_CASE("run_sync: outside a loop", "[to_thread]") {
    auto task = run_sync(sum, 1, 2);
    CHECK(task.valid());
    CHECK_THROWS_AS(concurrency::from_thread::check_cancelled(), RuntimeError);
}

TEST_CASE(
    "to_thread::asyncio_run_sync_no_asyncio_run: in a loop on an io_context of the "
    "program's own, twice",
    "[to_thread]"
) {
    boost::asio::io_context context(1);
    const auto before = thread_count();
    for (int i = 0; i < 2; ++i) {
        const auto main = []() -> Task<int> {
            co_return co_await run_sync(sum, 2, 3);
        };
        CHECK(concurrency::run(main, context) == 5);
        CHECK(thread_count() == before);
    }
}

TEST_CASE("run_sync: what becomes of the call, or its limiter, may stand in front") {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(run_sync(OnCancel::abandon, sum, 1, 2), == 3);
        concurrency::CapacityLimiter limiter(1);
        const auto borrowed = [&] {
            return limiter.borrowed_tokens();
        };
        CHECK_AWAITED(run_sync(limiter, borrowed), == 1);
        CHECK_AWAITED(concurrency::to_thread::run_sync(limiter, sum, 1, 2), == 3);
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

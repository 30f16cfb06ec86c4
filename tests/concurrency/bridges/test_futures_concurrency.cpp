// SPDX-License-Identifier: BSL-1.0
// co_await of futures, and run_in.
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"

#include "concurrency/cancel.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/post.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using concurrency::await_future;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::OnCancel;
using concurrency::run_in;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;
using futures::ThreadPoolExecutor;

namespace {

int twice(int x) {
    return 2 * x;
}

void refuse() {
    throw std::invalid_argument("refused");
}

/// A call that a thread is in, until it is let go.
class Held {
public:
    auto call() {
        return [this] {
            begun_.set_result();
            let_go_.get_future().wait();
            return 7;
        };
    }

    /// Waits, without a pool, until the thread is in it.
    Task<> begun() { co_await begun_; }

    void let_go() { let_go_.set_value(); }

private:
    Future<void> begun_;
    // Not one of the pool's kind, for which it would add a thread.
    std::promise<void> let_go_;
};

}  // namespace

TEST_CASE("co_await future: its value or its error", "[futures]") {
    ThreadPoolExecutor pool(2);
    test::over_backends([&]() -> Task<> {
        CHECK_AWAITED(pool.submit(twice, 4), == 8);
        Future<int> kept = pool.submit(twice, 5);
        CHECK_AWAITED(kept, == 10);
        CHECK_AWAITED(kept, == 10);
        co_await pool.submit([] {});
        auto fails = [&]() -> Task<> {
            co_await pool.submit(refuse);
        };
        CHECK_AWAITED(test::thrown_by(fails), == "refused");
        auto moved = co_await pool.submit([] { return std::make_unique<int>(3); });
        CHECK(*moved == 3);
        Future<std::string> done;
        done.set_result("done");
        CHECK_AWAITED(done, == "done");
        CHECK_AWAITED(await_future(done, OnCancel::abandon), == "done");
    });
}

TEST_CASE("co_await future: many, completed by threads in any order", "[futures]") {
    ThreadPoolExecutor pool(4);
    test::over_backends([&]() -> Task<> {
        int sum = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 200; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    for (int j = 0; j < 5; ++j) {
                        sum += co_await pool.submit(twice, i);
                    }
                });
            }
            co_return;
        });
        CHECK(sum == 5 * 199 * 200);
    });
}

TEST_CASE("co_await future: a value that nobody else has is not copied", "[futures]") {
    struct Counts {
        explicit Counts(int& n) : copies(&n) {}

        Counts(const Counts& other) : copies(other.copies) { ++*copies; }

        Counts(Counts&& other) noexcept = default;
        Counts& operator=(const Counts&) = delete;
        ~Counts() = default;
        int* copies;
    };

    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        int copies = 0;
        co_await pool.submit([&] { return Counts(copies); });
        CHECK(copies == 0);
    });
}

TEST_CASE(
    "taskgroups::cancel_native_future_tasks "
    "taskgroups::cancel_native_future_tasks_cancel_scope: a future that never "
    "completes is cancelled with the task that awaits it",
    "[futures]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool in_scope : {false, true}) {
            for (const auto mode :
                 {OnCancel::wait, OnCancel::abandon, OnCancel::kill}) {
                Future<int> never;
                bool after = false;
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        if (in_scope) {
                            CancelScope scope;
                            co_await scope.run([&]() -> Task<> {
                                co_await await_future(never, mode);
                            });
                        } else {
                            co_await await_future(never, mode);
                        }
                        after = true;
                    });
                    co_await checkpoint();
                    group.cancel();
                });
                CHECK_FALSE(after);
                CHECK(never.cancelled());
            }
        }
    });
}

TEST_CASE("co_await future: cancelled by somebody else is an error", "[futures]") {
    test::over_backends([]() -> Task<> {
        Future<int> future;
        bool refused = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                try {
                    co_await future;
                } catch (const futures::CancelledError&) {
                    refused = true;
                }
            });
            co_await checkpoint();
            future.cancel();
        });
        CHECK(refused);
        auto again = [&]() -> Task<> {
            co_await future;
        };
        const std::string text = co_await test::thrown_by(again);
        CHECK_THAT(text, test::ContainsSubstring("has no result"));
    });
}

TEST_CASE(
    "co_await future: a call that runs is waited for, and gives its result", "[futures]"
) {
    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        Held held;
        int result = 0;
        bool after = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CancelScope scope;
                co_await scope.run([&]() -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        co_await held.begun();
                        scope.cancel();
                        co_await checkpoint();
                        CHECK(result == 0);
                        held.let_go();
                    });
                    result = co_await pool.submit(held.call());
                    co_await checkpoint();
                    after = true;
                });
                CHECK(scope.cancelled_caught());
            });
            co_return;
        });
        CHECK(result == 7);
        CHECK_FALSE(after);
    });
}

TEST_CASE("co_await future: one that is abandoned goes on alone", "[futures]") {
    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        Held held;
        Future<int> running = pool.submit(held.call());
        co_await held.begun();
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    co_await await_future(running, OnCancel::abandon);
                });
            });
            co_await checkpoint();
            scope.cancel();
        });
        CHECK(scope.cancelled_caught());
        CHECK(running.running());
        held.let_go();
        CHECK_AWAITED(running, == 7);
    });
}

TEST_CASE(
    "co_await future: a thread that is asked to stop ends the wait when it does",
    "[futures]"
) {
    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        for (const bool stops : {true, false}) {
            Future<void> begun;
            int result = 0;
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await begun;
                    scope.cancel();
                });
                co_await scope.run([&]() -> Task<> {
                    auto call = [&begun, stops] {
                        begun.set_result();
                        while (!futures::this_task().stop_requested()) {
                            std::this_thread::yield();
                        }
                        if (stops) {
                            futures::this_task().check_cancelled();
                        }
                        return 7;
                    };
                    result = co_await await_future(pool.submit(call), OnCancel::kill);
                });
            });
            CHECK(scope.cancelled_caught() == stops);
            CHECK(result == (stops ? 0 : 7));
        }
    });
}

TEST_CASE(
    "co_await future: a result that comes while the call is asked to stop is kept",
    "[futures]"
) {
    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        for (int i = 0; i < 200; ++i) {
            Future<void> begun;
            int result = 0;
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await begun;
                    scope.cancel();
                });
                co_await scope.run([&]() -> Task<> {
                    auto call = [&begun] {
                        begun.set_result();
                        while (!futures::this_task().stop_requested()) {
                        }
                        return 7;
                    };
                    result = co_await await_future(pool.submit(call), OnCancel::kill);
                });
            });
            CHECK_FALSE(scope.cancelled_caught());
            CHECK(result == 7);
        }
    });
}

TEST_CASE("co_await future: in a cancelled scope", "[futures]") {
    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        Held held;
        Future<int> running = pool.submit(held.call());
        co_await held.begun();
        Future<int> queued = pool.submit(twice, 1);
        CancelScope scope;
        scope.cancel();
        int thrown = 0;
        co_await scope.run([&]() -> Task<> {
            for (Future<int>* future : {&running, &queued}) {
                try {
                    co_await *future;
                } catch (const Cancelled&) {
                    ++thrown;
                }
            }
        });
        CHECK(thrown == 2);
        CHECK(queued.cancelled());
        CHECK(running.running());
        held.let_go();
        CHECK_AWAITED(running, == 7);
    });
}

TEST_CASE("co_await future: done, then cancelled keeps the value", "[futures]") {
    test::over_backends([]() -> Task<> {
        for (const auto mode : {OnCancel::wait, OnCancel::abandon, OnCancel::kill}) {
            Future<int> future;
            int value = 0;
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await scope.run([&]() -> Task<> {
                        value = co_await await_future(future, mode);
                        co_await checkpoint();
                        value = 0;
                    });
                });
                co_await checkpoint();
                future.set_result(5);
                scope.cancel();
            });
            CHECK(value == 5);
        }
    });
}

TEST_CASE("run_in: a call in a pool, awaited", "[futures]") {
    ThreadPoolExecutor pool(2);
    test::over_backends([&]() -> Task<> {
        CHECK_AWAITED(run_in(pool, twice, 21), == 42);
        CHECK_AWAITED(run_in(pool, OnCancel::abandon, twice, 1), == 2);
        co_await run_in(pool, [] {});
        auto fails = [&] {
            return run_in(pool, refuse);
        };
        CHECK_AWAITED(test::thrown_by(fails), == "refused");
        CHECK_AWAITED(
            run_in(
                pool,
                [](std::unique_ptr<int> p) { return *p; },
                std::make_unique<int>(6)
            ),
            == 6
        );
    });
}

TEST_CASE("run_in: in a cancelled scope nothing is submitted", "[futures]") {
    ThreadPoolExecutor pool(1);
    test::over_backends([&]() -> Task<> {
        const auto before = pool.statistics().submitted;
        CancelScope scope;
        scope.cancel();
        co_await scope.run([&]() -> Task<> { co_await run_in(pool, [] {}); });
        CHECK(scope.cancelled_caught());
        CHECK(pool.statistics().submitted == before);
    });
}

TEST_CASE("run_in: a pool that was shut down is an error", "[futures]") {
    ThreadPoolExecutor pool(1);
    pool.shutdown();
    test::over_backends([&]() -> Task<> {
        auto fails = [&]() -> Task<> {
            co_await run_in(pool, [] {});
        };
        const std::string text = co_await test::thrown_by(fails);
        CHECK(text != "nothing");
    });
}

TEST_CASE("co_await future: the loop ends first", "[futures]") {
    ThreadPoolExecutor pool(1);
    Future<int> never;
    boost::asio::io_context context(1);
    Held held;
    std::atomic<bool> ended{false};
    const auto main = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await never; });
            group.start_soon([&]() -> Task<> {
                const auto call = [&] {
                    held.call()();
                    ended = true;
                };
                co_await run_in(pool, std::ref(call));
            });
            co_await held.begun();
            boost::asio::post(context, [&] {
                context.stop();
                held.let_go();
            });
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    // What the thread refers to lives as long as the call.
    CHECK(ended);
    never.set_result(1);
}

TEST_CASE("co_await future: outside a loop it is refused", "[futures]") {
    Future<int> future;
    Task<int> task = await_future(future);
    CHECK(task.valid());
    CHECK_THROWS_AS(concurrency::check_cancelled(), RuntimeError);
}

// SPDX-License-Identifier: BSL-1.0
// wait and as_completed, awaited.
#include "futures/thread_pool.hpp"

#include "concurrency/cancel.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/future_streams.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <optional>
#include <stdexcept>
#include <vector>

using concurrency::as_completed;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;

namespace {

int twice(int x) {
    return 2 * x;
}

}  // namespace

TEST_CASE("as_completed: futures in the order in which they get done", "[streams]") {
    test::over_backends([]() -> Task<> {
        std::vector<Future<int>> futures(4);
        futures[2].set_result(2);
        std::vector<Future<int>> given = futures;
        given.push_back(futures[0]);  // twice, and given once
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto stream = as_completed(given);
                CHECK(stream.left() == 4);
                while (auto next = co_await stream.next()) {
                    order.push_back(next->cancelled() ? -1 : next->result());
                }
                CHECK(stream.left() == 0);
                const bool is_over = !(co_await stream.next()).has_value();
                CHECK(is_over);
            });
            co_await checkpoint();
            futures[3].set_result(3);
            futures[1].cancel();
            futures[0].set_result(0);
        });
        CHECK(order == std::vector<int>{2, 3, -1, 0});
    });
}

TEST_CASE("as_completed: results of a pool", "[streams]") {
    futures::ThreadPoolExecutor pool(4);
    test::over_backends([&]() -> Task<> {
        std::vector<Future<int>> futures;
        for (int i = 0; i < 200; ++i) {
            futures.push_back(pool.submit(twice, i));
        }
        auto stream = as_completed(futures);
        int sum = 0;
        while (auto next = co_await stream.next()) {
            sum += next->result();
        }
        CHECK(sum == 199 * 200);
    });
}

TEST_CASE("as_completed: cancelled, then asked again, it has lost none", "[streams]") {
    test::over_backends([]() -> Task<> {
        std::vector<Future<int>> futures(2);
        auto stream = as_completed(futures);
        for (int i = 0; i < 3; ++i) {
            CancelScope scope;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await scope.run([&]() -> Task<> { co_await stream.next(); });
                });
                co_await checkpoint();
                scope.cancel();
            });
            CHECK(scope.cancelled_caught());
        }
        futures[1].set_result(1);
        futures[0].set_result(0);
        int sum = 0;
        while (auto next = co_await stream.next()) {
            sum = 10 * sum + next->result() + 1;
        }
        CHECK(sum == 21);
        CHECK_FALSE(futures[0].cancelled());
    });
}

TEST_CASE("as_completed: two tasks in one stream, and one that is left", "[streams]") {
    test::over_backends([]() -> Task<> {
        Future<int> never;
        {
            auto stream = as_completed(std::vector<Future<int>>{never});
            bool is_busy = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> { co_await stream.next(); });
                co_await checkpoint();
                try {
                    co_await stream.next();
                } catch (const concurrency::BusyResourceError&) {
                    is_busy = true;
                }
                group.cancel();
            });
            CHECK(is_busy);
        }
        never.set_result(1);  // nobody hears of it
        co_await checkpoint();
    });
}

TEST_CASE("wait: for all, the first, or the first exception", "[streams]") {
    test::over_backends([]() -> Task<> {
        for (const auto when :
             {futures::ALL_COMPLETED,
              futures::FIRST_COMPLETED,
              futures::FIRST_EXCEPTION}) {
            std::vector<Future<int>> futures(3);
            std::size_t done = 0;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    const auto sets = co_await concurrency::wait(futures, when);
                    done = sets.done.size();
                    CHECK(sets.done.size() + sets.not_done.size() == 3);
                    CHECK(sets.done.front() == futures[0]);
                });
                for (Future<int>& future : futures) {
                    for (int i = 0; i < 4; ++i) {
                        co_await checkpoint();
                    }
                    if (&future == &futures[1]) {
                        future.set_exception(std::runtime_error("no"));
                    } else {
                        future.set_result(1);
                    }
                    bool delivered = false;
                    concurrency::current_token().run_sync_soon([&] { delivered = true; }
                    );
                    while (!delivered) {
                        co_await checkpoint();
                    }
                    co_await checkpoint();
                }
            });
            CHECK(
                done == (when == futures::ALL_COMPLETED     ? 3U
                         : when == futures::FIRST_COMPLETED ? 1U
                                                            : 2U)
            );
        }
    });
}

TEST_CASE("wait: with a limit around, the futures go on", "[streams]") {
    test::over_backends([]() -> Task<> {
        const std::vector<Future<int>> futures(1);
        const auto sets =
            co_await concurrency::move_on_after(0, concurrency::wait(futures));
        CHECK_FALSE(sets.has_value());
        CHECK_FALSE(futures[0].cancelled());
    });
}

TEST_CASE("as_completed and wait: where both namespaces are at hand", "[streams]") {
    test::over_backends([]() -> Task<> {
        using namespace concurrency;
        using namespace futures;
        std::vector<futures::Future<int>> fs(2);
        fs[1].set_result(1);
        const auto sets = co_await wait(fs, FIRST_COMPLETED);
        CHECK(sets.done.size() == 1);
        fs[0].set_result(0);
        auto stream = as_completed(fs);
        int results = 0;
        while (auto future = co_await stream.next()) {
            results += 1 + future->result();
        }
        CHECK(results == 3);
        const auto& all = fs;
        const auto both = co_await wait(all);
        CHECK(both.done.size() == 2);
        CHECK(both.not_done.empty());
    });
}

TEST_CASE(
    "as_completed: a stream may outlive its loop, and is of no other", "[streams]"
) {
    const Future<int> future;
    auto stream = as_completed(std::vector<Future<int>>{future});
    concurrency::run([&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await stream.next(); });
            co_await checkpoint();
            group.cancel();
        });
    });
    future.set_result(7);  // which tells a loop that is gone
    concurrency::run([&]() -> Task<> {
        const auto next = [&] {
            return stream.next();
        };
        CHECK_AWAITED(
            test::thrown_by(next), == "the stream of futures belongs to another loop"
        );
    });
}

TEST_CASE("as_completed: a stream may go while a task waits in it", "[streams]") {
    test::over_backends([]() -> Task<> {
        const Future<int> future;
        std::optional stream(as_completed(std::vector<Future<int>>{future}));
        int value = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const auto next = co_await stream->next();
                value = next->result();
            });
            co_await checkpoint();
            stream.reset();
            future.set_result(7);
        });
        CHECK(value == 7);
    });
}

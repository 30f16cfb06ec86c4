// SPDX-License-Identifier: BSL-1.0
// PriorityQueue: tasks that wait in it, and how that ends.
#include "concurrency/cancel.hpp"
#include "concurrency/priority_queue.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::ClosedResourceError;
using concurrency::create_task_group;
using concurrency::PriorityQueue;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using test::throws;

namespace {

/// Throws while the switch is on.
struct Moody {
    bool operator()(int a, int b) const {
        if (*throws) {
            throw std::logic_error("not now");
        }
        return a < b;
    }

    bool* throws;
};

}  // namespace

TEST_CASE(
    "priority queue: two putters and three getters of a queue of one do not stall",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool getters_first : {true, false}) {
            PriorityQueue<int, int> queue(1);
            queue.put_nowait(0, 0);
            int sum = 0;
            const auto put = [&](int item) -> Task<> {
                co_await queue.put(item, item);
            };
            const auto get = [&]() -> Task<> {
                const auto item = co_await queue.get();
                sum += item.second;
            };
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                for (int i = 0; i < 3 && getters_first; ++i) {
                    group.start_soon(get);
                }
                group.start_soon(put, 1);
                group.start_soon(put, 2);
                for (int i = 0; i < 3 && !getters_first; ++i) {
                    group.start_soon(get);
                }
                co_return;
            });
            CHECK(sum == 3);
            CHECK(queue.empty());
        }
    });
}

TEST_CASE(
    "priority queue: those who are cancelled lose nothing, and those behind them move "
    "up",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue(1);
        CancelScope first;
        std::vector<int> got;
        const auto get = [&]() -> Task<> {
            const auto item = co_await queue.get();
            got.push_back(item.second);
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&] { return first.run(get); });
            group.start_soon(get);
            group.start_soon([&]() -> Task<> {
                co_await get();
                auto next = [] {
                    return checkpoint();
                };
                CHECK_AWAITED(throws<Cancelled>(next), == true);
            });
            co_await checkpoint();
            first.cancel();
            queue.put_nowait(1, 1);
            queue.put_nowait(2, 2);
            group.cancel();
        });
        CHECK(got == std::vector<int>{1, 2});
        queue.put_nowait(3, 3);
        bool put = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            CancelScope second;
            group.start_soon([&] { return second.run([&] { return queue.put(4, 4); }); }
            );
            group.start_soon([&]() -> Task<> {
                co_await queue.put(5, 5);
                put = true;
            });
            co_await checkpoint();
            second.cancel();
            CHECK(queue.get_nowait().second == 3);
            group.cancel();
            co_await concurrency::cancel_shielded_checkpoint();
        });
        CHECK(put);
        CHECK(queue.get_nowait().second == 5);
        CHECK(queue.empty());
        CancelScope cancelled;
        cancelled.cancel();
        co_await cancelled.run([&] { return queue.put(6, 6); });
        CHECK(queue.empty());
        queue.put_nowait(7, 7);
        CancelScope cancelled_too;
        cancelled_too.cancel();
        const auto nothing = co_await cancelled_too.run([&] { return queue.get(); });
        CHECK_FALSE(nothing.has_value());
        CHECK(queue.qsize() == 1);
    });
}

TEST_CASE(
    "priority queue: a comparison that throws, throws out of the put whose item it is",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        bool not_now = false;
        PriorityQueue<int, int, Moody> queue(2, Moody{&not_now});
        queue.put_nowait(1, 1);
        not_now = true;
        CHECK_THROWS_AS(queue.put_nowait(2, 2), std::logic_error);
        CHECK(queue.qsize() == 1);
        not_now = false;
        queue.put_nowait(3, 3);
        bool failed = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto putting = [&] {
                    return queue.put(4, 4);
                };
                failed = co_await throws<std::logic_error>(putting);
            });
            co_await checkpoint();
            not_now = true;
            CHECK(queue.get_nowait().second == 1);
            not_now = false;
        });
        CHECK(failed);
        CHECK(queue.get_nowait().second == 3);
        CHECK(queue.empty());
    });
}

TEST_CASE(
    "priority queue: waiting needs a loop, and tasks of two loops cannot meet",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const auto item = co_await queue.get();
                CHECK(item.second == 1);
            });
            co_await checkpoint();
            auto putting = [&] {
                return queue.put(1, 1);
            };
            CHECK_THROWS_AS(concurrency::run_async(putting), RuntimeError);
            auto getting = [&] {
                return queue.get();
            };
            CHECK_THROWS_AS(concurrency::run_async(getting), RuntimeError);
            auto at_once = [&]() -> Task<> {
                queue.put_nowait(1, 1);
                co_return;
            };
            CHECK_THROWS_AS(concurrency::run_async(at_once), RuntimeError);
            CHECK(queue.statistics().tasks_waiting_receive == 1);
            queue.put_nowait(1, 1);
        });
    });
}

TEST_CASE(
    "priority queue: destroyed, it gives those who wait in it ClosedResourceError",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        std::optional<PriorityQueue<int, int>> full(std::in_place, 1);
        std::optional<PriorityQueue<int, int>> empty(std::in_place);
        full->put_nowait(1, 1);
        int closed = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto putting = [&] {
                    return full->put(2, 2);
                };
                const bool one = co_await throws<ClosedResourceError>(putting);
                closed += one ? 1 : 0;
            });
            group.start_soon([&]() -> Task<> {
                auto getting = [&] {
                    return empty->get();
                };
                const bool one = co_await throws<ClosedResourceError>(getting);
                closed += one ? 1 : 0;
            });
            co_await checkpoint();
            full.reset();
            empty.reset();
        });
        CHECK(closed == 2);
    });
}

TEST_CASE(
    "priority queue: a loop that ends takes those who wait with it", "[priority]"
) {
    boost::asio::io_context context;
    const auto item = std::make_shared<int>(1);
    std::optional<PriorityQueue<std::shared_ptr<int>, int>> outside;
    const auto main = [&]() -> Task<> {
        outside.emplace(1);
        PriorityQueue<std::shared_ptr<int>, int> inside;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> { co_await outside->put(1, item); });
                group.start_soon([&]() -> Task<> { co_await inside.get(); });
            }
            co_await checkpoint();
            inside.put_nowait(1, item);  // has not been got when all ends
            context.stop();
            co_await concurrency::sleep_forever();
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK(item.use_count() == 2);  // one in the queue
    CHECK(outside->statistics().tasks_waiting_send == 0);
    CHECK(outside->get_nowait().second == item);
    CHECK(item.use_count() == 1);
}

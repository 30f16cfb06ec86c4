// SPDX-License-Identifier: BSL-1.0
// PriorityQueue: the most urgent first.
#include "concurrency/priority_queue.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::inf;
using concurrency::PriorityQueue;
using concurrency::QueueEmpty;
using concurrency::QueueFull;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::ValueError;
using concurrency::WouldBlock;
using test::throws;

TEST_CASE(
    "priority_queue::test_priority_queue_basic: 3, 1, 2 come out as 1, 2, 3",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<std::string> queue;
        co_await queue.put(3, "three");
        co_await queue.put(1, "one");
        co_await queue.put(2.5, "two");
        for (const auto& [priority, name] :
             {std::pair(1.0, "one"), std::pair(2.5, "two"), std::pair(3.0, "three")}) {
            const std::pair<double, std::string> got = co_await queue.get();
            CHECK(got.first == priority);
            CHECK(got.second == name);
        }
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_fifo_within_priority "
    "priority_queue::test_priority_queue_complex_priority: of equal priorities the "
    "first that was put comes first",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<std::string, int> queue;
        for (const auto& [priority, name] : std::vector<std::pair<int, std::string>>{
                 {1, "c"}, {0, "z"}, {1, "a"}, {2, "x"}, {1, "b"}, {0, "y"}}) {
            co_await queue.put(priority, name);
        }
        std::string order;
        while (!queue.empty()) {
            order += queue.get_nowait().second;
        }
        CHECK(order == "zycabx");
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_non_comparable_items: items are not compared, "
    "copied or made up",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<std::map<std::string, int>, int> maps;
        for (int i = 0; i < 3; ++i) {
            const std::map<std::string, int> item{{"id", i}};
            co_await maps.put(1, item);
        }
        for (int i = 0; i < 3; ++i) {
            auto item = co_await maps.get();
            CHECK(item.second["id"] == i);
        }
        PriorityQueue<std::unique_ptr<int>, std::string> moved(2);
        co_await moved.put("b", std::make_unique<int>(2));
        moved.put_nowait("a", std::make_unique<int>(1));
        auto unlucky = std::make_unique<int>(3);
        CHECK_THROWS_AS(moved.put_nowait("c", std::move(unlucky)), QueueFull);
        CHECK(*unlucky == 3);
        const auto item = co_await moved.get();
        CHECK(item.first == "a");
        CHECK(*item.second == 1);
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_multiple_consumers: two consumers get all",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue;
        std::vector<int> got;
        const auto consume = [&](int count) -> Task<> {
            for (int i = 0; i < count; ++i) {
                const auto item = co_await queue.get();
                got.push_back(item.second);
            }
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(consume, 3);
            group.start_soon(consume, 2);
            co_await checkpoint();
            CHECK(queue.statistics().tasks_waiting_receive == 2);
            for (int i = 0; i < 5; ++i) {
                co_await queue.put(5 - i, i);
            }
        });
        // An item each to those who waited; what came then was sorted.
        CHECK(got == std::vector<int>{0, 4, 3, 1, 2});
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_maxsize: full at two, not after a get",
    "[priority]"
) {
    PriorityQueue<int, int> queue(2);
    CHECK(queue.maxsize() == 2);
    CHECK_FALSE(queue.full());
    queue.put_nowait(1, 1);
    queue.put_nowait(2, 2);
    CHECK(queue.full());
    queue.get_nowait();
    CHECK_FALSE(queue.full());
    CHECK_THROWS_AS((PriorityQueue<int, int>(-1)), ValueError);
    for (PriorityQueue<int, int> unlimited{inf}; unlimited.qsize() < 100;) {
        unlimited.put_nowait(1, 1);
        CHECK_FALSE(unlimited.full());
        CHECK(unlimited.maxsize() == 0);
    }
    const PriorityQueue<int, int> by_default;
    CHECK(by_default.maxsize() == 0);
    CHECK(by_default.statistics().max_buffer_size == inf);
}

TEST_CASE(
    "priority_queue::test_priority_queue_blocking_put_on_full: the third put waits "
    "until "
    "there is room",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue(2);
        co_await queue.put(1, 1);
        co_await queue.put(2, 2);
        bool put = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await queue.put(0, 0);
                put = true;
            });
            co_await checkpoint();
            CHECK_FALSE(put);
            CHECK(queue.statistics().tasks_waiting_send == 1);
            // What waits is not in the queue yet.
            const auto first = co_await queue.get();
            CHECK(first.second == 1);
            const auto second = co_await queue.get();
            CHECK(second.second == 0);
        });
        CHECK(put);
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_put_nowait: throws QueueFull until there is "
    "room",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue(2);
        queue.put_nowait(1, 1);
        queue.put_nowait(2, 2);
        CHECK_THROWS_AS(queue.put_nowait(3, 3), QueueFull);
        CHECK_THROWS_AS(queue.put_nowait(3, 3), WouldBlock);
        co_await queue.get();
        CHECK_NOTHROW(queue.put_nowait(3, 3));
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_put_nowait_notifies_blocked_get: one who "
    "waits "
    "gets it",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue;
        int got = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const auto item = co_await queue.get();
                got = item.second;
            });
            co_await checkpoint();
            queue.put_nowait(1, 42);
            CHECK_THROWS_AS(queue.get_nowait(), QueueEmpty);
        });
        CHECK(got == 42);
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_get_nowait: throws QueueEmpty, or gives an "
    "item",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue;
        CHECK_THROWS_AS(queue.get_nowait(), QueueEmpty);
        CHECK_THROWS_AS(queue.get_nowait(), WouldBlock);
        co_await queue.put(1, 42);
        CHECK(queue.get_nowait() == std::pair(1, 42));
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_get_nowait_notifies_blocked_put: one who "
    "waits "
    "gets the room",
    "[priority]"
) {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int> queue(1);
        queue.put_nowait(1, 1);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&] { return queue.put(2, 2); });
            co_await checkpoint();
            CHECK(queue.get_nowait().second == 1);
            CHECK_THROWS_AS(queue.put_nowait(3, 3), QueueFull);
        });
        CHECK(queue.get_nowait().second == 2);
    });
}

TEST_CASE(
    "priority_queue::test_priority_queue_qsize "
    "priority_queue::test_priority_queue_empty:"
    " both follow what is in it",
    "[priority]"
) {
    PriorityQueue<int, int> queue;
    CHECK(queue.qsize() == 0);
    CHECK(queue.empty());
    queue.put_nowait(1, 1);
    CHECK(queue.qsize() == 1);
    CHECK_FALSE(queue.empty());
    queue.put_nowait(2, 2);
    CHECK(queue.qsize() == 2);
    queue.get_nowait();
    CHECK(queue.qsize() == 1);
    queue.get_nowait();
    CHECK(queue.qsize() == 0);
    CHECK(queue.empty());
}

TEST_CASE("priority queue: any order, the greatest first for one", "[priority]") {
    test::over_backends([]() -> Task<> {
        PriorityQueue<int, int, std::greater<>> falling;
        const auto by_length = [](const std::string& a, const std::string& b) {
            return a.size() < b.size();
        };
        PriorityQueue<int, std::string, decltype(by_length)> lengths(0, by_length);
        for (const int i : {2, 3, 1}) {
            co_await falling.put(i, i);
            co_await lengths.put(std::string(static_cast<std::size_t>(i), 'x'), i);
        }
        for (int i = 1; i <= 3; ++i) {
            CHECK(falling.get_nowait().second == 4 - i);
            CHECK(lengths.get_nowait().second == i);
        }
    });
}

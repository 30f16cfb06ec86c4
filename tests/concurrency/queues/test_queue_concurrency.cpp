// SPDX-License-Identifier: BSL-1.0
// Queue: a memory object stream with both its ends.
#include "concurrency/cancel.hpp"
#include "concurrency/queue.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using concurrency::BrokenResourceError;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::ClosedResourceError;
using concurrency::create_task_group;
using concurrency::EndOfStream;
using concurrency::inf;
using concurrency::Queue;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;
using concurrency::ValueError;
using concurrency::WouldBlock;
using test::throws;

TEST_CASE(
    "primitives::test_queue_lifecycle_with_context_manager: a queue is closed at the "
    "end "
    "of its block",
    "[queue]"
) {
    test::over_backends([]() -> Task<> {
        std::optional<concurrency::MemoryObjectSendStream<int>> sender;
        {
            auto queue = Queue<int>::with_maxsize(1);
            sender.emplace(queue.sender().clone());
            co_await queue.put(1);
            CHECK_AWAITED(queue.get(), == 1);
        }
        auto sending = [&] {
            return sender->send(2);
        };
        CHECK_AWAITED(throws<BrokenResourceError>(sending), == true);
        auto queue = Queue<int>::with_maxsize(1);
        queue.close();
        auto putting = [&] {
            return queue.put(1);
        };
        CHECK_AWAITED(throws<ClosedResourceError>(putting), == true);
    });
}

TEST_CASE(
    "primitives::test_queue_unbuffered_backpressure: with a size of 0 put() returns "
    "when "
    "get() has the item",
    "[queue]"
) {
    test::over_backends([]() -> Task<> {
        auto queue = Queue<int>::with_maxsize(0);
        CHECK_THROWS_AS(queue.put_nowait(1), WouldBlock);
        int got = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            co_await group.start([&](TaskStatus<>& status) -> Task<> {
                status.started();
                got = co_await queue.get();
            });
            co_await queue.put(42);
        });
        CHECK(got == 42);
        bool put = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await queue.put(43);
                put = true;
            });
            co_await checkpoint();
            CHECK_FALSE(put);
            CHECK_AWAITED(queue.get(), == 43);
        });
        CHECK(put);
    });
}

TEST_CASE(
    "primitives::test_queue_buffered_behavior: three fit without waiting, in order",
    "[queue]"
) {
    test::over_backends([]() -> Task<> {
        auto queue = Queue<int>::with_maxsize(3);
        for (int i = 0; i < 3; ++i) {
            co_await queue.put(i);
        }
        CHECK_THROWS_AS(queue.put_nowait(3), WouldBlock);
        for (int i = 0; i < 3; ++i) {
            CHECK_AWAITED(queue.get(), == i);
        }
    });
}

TEST_CASE("primitives::test_queue_get_nowait: gives an item or throws", "[queue]") {
    test::over_backends([]() -> Task<> {
        auto queue = Queue<std::string>::with_maxsize(2);
        CHECK_THROWS_AS(queue.get_nowait(), WouldBlock);
        const std::string first = "first";
        queue.put_nowait(first);
        queue.put_nowait("second");
        CHECK(queue.get_nowait() == "first");
        CHECK(queue.get_nowait() == "second");
        CHECK_THROWS_AS(queue.get_nowait(), WouldBlock);
        co_return;
    });
}

TEST_CASE(
    "primitives::test_queue_sender_receiver_properties: what one raw end sends arrives "
    "at the other",
    "[queue]"
) {
    test::over_backends([]() -> Task<> {
        auto queue = Queue<int>::with_maxsize(1);
        co_await queue.sender().send(5);
        CHECK_AWAITED(queue.receiver().receive(), == 5);
        co_await queue.sender().send(6);
        CHECK_AWAITED(queue.get(), == 6);
    });
}

TEST_CASE("queue: a size is a whole number from 0 upwards, or inf", "[queue]") {
    CHECK_THROWS_AS(Queue<int>(-1), ValueError);
    CHECK_THROWS_AS(Queue<int>::with_maxsize(-1), ValueError);
    CHECK_THROWS_AS(Queue<int>(0.5), ValueError);
    Queue<int> queue(inf);
    for (int i = 0; i < 1000; ++i) {
        queue.put_nowait(i);
    }
    CHECK_FALSE(queue.full());
    CHECK(queue.statistics().max_buffer_size == inf);
}

TEST_CASE("queue: qsize(), empty() and full() follow what is in it", "[queue]") {
    Queue<int> queue(2);
    CHECK(queue.qsize() == 0);
    CHECK(queue.empty());
    CHECK_FALSE(queue.full());
    queue.put_nowait(1);
    CHECK(queue.qsize() == 1);
    CHECK_FALSE(queue.empty());
    queue.put_nowait(2);
    CHECK(queue.full());
    queue.get_nowait();
    CHECK_FALSE(queue.full());
    const Queue<int> rendezvous(0);
    CHECK(rendezvous.empty());
    CHECK(rendezvous.full());
}

TEST_CASE(
    "queue: closing it wakes those who wait, refuses later calls, and drops the rest",
    "[queue]"
) {
    test::over_backends([]() -> Task<> {
        Queue<std::shared_ptr<int>> full(1);
        Queue<int> empty(1);
        const auto item = std::make_shared<int>(1);
        full.put_nowait(item);
        bool broken = false;
        bool ended = false;
        auto putting = [&] {
            return full.put(item);
        };
        auto getting = [&] {
            return empty.get();
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                broken = co_await throws<BrokenResourceError>(putting);
            });
            group.start_soon([&]() -> Task<> {
                ended = co_await throws<EndOfStream>(getting);
            });
            co_await checkpoint();
            full.close();
            empty.close();
            full.close();
        });
        CHECK(broken);
        CHECK(ended);
        CHECK(item.use_count() == 1);
        CHECK_AWAITED(throws<ClosedResourceError>(putting), == true);
        CHECK_AWAITED(throws<ClosedResourceError>(getting), == true);
        CHECK_THROWS_AS(full.put_nowait(item), ClosedResourceError);
        CHECK_THROWS_AS(full.get_nowait(), ClosedResourceError);
        CHECK(full.qsize() == 0);
    });
}

TEST_CASE(
    "queue: when its sender is closed, what is in it is got before the end", "[queue]"
) {
    test::over_backends([]() -> Task<> {
        Queue<int> queue(3);
        queue.put_nowait(1);
        queue.put_nowait(2);
        queue.sender().close();
        CHECK_THROWS_AS(queue.put_nowait(3), ClosedResourceError);
        CHECK_AWAITED(queue.get(), == 1);
        CHECK(queue.get_nowait() == 2);
        auto getting = [&] {
            return queue.get();
        };
        CHECK_AWAITED(throws<EndOfStream>(getting), == true);
        queue.close();
        CHECK_AWAITED(throws<ClosedResourceError>(getting), == true);
    });
}

TEST_CASE("queue: clones of its ends outlive it, and go on", "[queue]") {
    test::over_backends([]() -> Task<> {
        std::optional<Queue<int>> queue(std::in_place, 1);
        auto send = queue->sender().clone();
        auto receive = queue->receiver().clone();
        bool ended = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto getting = [&] {
                    return queue->get();
                };
                ended = co_await throws<EndOfStream>(getting);
            });
            co_await checkpoint();
            queue.reset();
            co_await send.send(1);
            CHECK_AWAITED(receive.receive(), == 1);
        });
        CHECK(ended);
    });
}

TEST_CASE("queue: can be moved while a task waits in it", "[queue]") {
    test::over_backends([]() -> Task<> {
        Queue<int> first(0);
        Queue<int> second(0);
        int got = 0;
        bool ended = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { got = co_await first.get(); });
            group.start_soon([&]() -> Task<> {
                auto getting = [&] {
                    return second.get();
                };
                ended = co_await throws<EndOfStream>(getting);
            });
            co_await checkpoint();
            second = std::move(first);
            CHECK_THROWS_AS(first.put_nowait(1), ClosedResourceError);
            CHECK_THROWS_AS(first.qsize(), ClosedResourceError);
            CHECK_NOTHROW(first.close());
            second.put_nowait(7);
        });
        CHECK(got == 7);
        CHECK(ended);
    });
}

TEST_CASE(
    "queue: those who are cancelled lose nothing, and those behind them move up",
    "[queue]"
) {
    test::over_backends([]() -> Task<> {
        Queue<int> queue(0);
        CancelScope first;
        std::vector<int> got;
        const auto get = [&]() -> Task<> {
            got.push_back(co_await queue.get());
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&] { return first.run(get); });
            group.start_soon(get);
            co_await checkpoint();
            first.cancel();
            queue.put_nowait(1);
        });
        CHECK(got == std::vector<int>{1});
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(get);
            co_await checkpoint();
            queue.put_nowait(2);
            group.cancel();
        });
        CHECK(got == std::vector<int>{1, 2});
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&] { return queue.put(3); });
            co_await checkpoint();
            CHECK(queue.statistics().tasks_waiting_send == 1);
            group.cancel();
        });
        CHECK_THROWS_AS(queue.get_nowait(), WouldBlock);
    });
}

TEST_CASE(
    "queue: those who wait to put are served in order, and items keep theirs", "[queue]"
) {
    test::over_backends([]() -> Task<> {
        Queue<std::unique_ptr<int>> queue(2);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 6; ++i) {
                group.start_soon(
                    [&](int item) -> Task<> {
                        co_await queue.put(std::make_unique<int>(item));
                    },
                    i
                );
            }
            co_await checkpoint();
            CHECK(queue.full());
            CHECK(queue.statistics().tasks_waiting_send == 4);
            for (int i = 0; i < 6; ++i) {
                const std::unique_ptr<int> item = co_await queue.get();
                CHECK(*item == i);
            }
        });
    });
}

TEST_CASE("queue: closing it, or an end of it, may be awaited", "[queue]") {
    test::over_backends([]() -> Task<> {
        Queue<int> queue(1);
        queue.put_nowait(1);
        co_await queue.sender().aclose();
        CHECK_AWAITED(queue.get(), == 1);
        CHECK_THROWS_AS(queue.get_nowait(), EndOfStream);
        co_await queue.receiver().aclose();
        CHECK_THROWS_AS(queue.get_nowait(), ClosedResourceError);
        co_await queue.close();
        CHECK_THROWS_AS(queue.put_nowait(1), ClosedResourceError);
        co_await queue.close();
    });
}

// SPDX-License-Identifier: BSL-1.0
// Memory object streams: what is sent is received.
#include "concurrency/streams.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

using concurrency::checkpoint;
using concurrency::create_memory_object_stream;
using concurrency::create_task_group;
using concurrency::inf;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::ValueError;
using concurrency::WouldBlock;
using test::Ends;

TEST_CASE(
    "memory::invalid_max_buffer memory::negative_max_buffer: a size is a whole number "
    "from 0 upwards, or inf",
    "[streams]"
) {
    CHECK_THROWS_AS(create_memory_object_stream<int>(1.0), ValueError);
    CHECK_THROWS_AS(create_memory_object_stream<int>(-inf), ValueError);
    CHECK_THROWS_AS(
        create_memory_object_stream<int>(std::numeric_limits<double>::quiet_NaN()),
        ValueError
    );
    CHECK_THROWS_AS(create_memory_object_stream<int>(-1), ValueError);
    CHECK(Ends<int>(inf).send.statistics().max_buffer_size == inf);
    CHECK(Ends<int>(3).send.statistics().max_buffer_size == 3);
    CHECK(Ends<int>(0U).receive.statistics().max_buffer_size == 0);
    CHECK(create_memory_object_stream<int>().first.statistics().max_buffer_size == 0);
}

TEST_CASE(
    "memory::receive_then_send: without a buffer, one who waits gets two items in "
    "order",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        std::vector<std::string> got;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                got.push_back(co_await ends.receive.receive());
                got.push_back(co_await ends.receive.receive());
            });
            co_await checkpoint();
            co_await ends.send.send("hello");
            co_await ends.send.send("anyio");
        });
        CHECK(got == std::vector<std::string>{"hello", "anyio"});
    });
}

TEST_CASE(
    "memory::receive_then_send_nowait: without a buffer, two who wait get an item each",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        std::vector<std::string> got;
        const auto receive_one = [&]() -> Task<> {
            got.push_back(co_await ends.receive.receive());
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(receive_one);
            group.start_soon(receive_one);
            co_await checkpoint();
            ends.send.send_nowait("hello");
            ends.send.send_nowait("anyio");
            CHECK_THROWS_AS(ends.send.send_nowait("more"), WouldBlock);
        });
        CHECK(got == std::vector<std::string>{"hello", "anyio"});
    });
}

TEST_CASE(
    "memory::send_then_receive_nowait: the item of one who waits to send is taken",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        bool sent = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await ends.send.send("hello");
                sent = true;
            });
            co_await checkpoint();
            CHECK_FALSE(sent);
            CHECK(ends.receive.receive_nowait() == "hello");
            CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
        });
        CHECK(sent);
    });
}

TEST_CASE(
    "memory::send_is_unblocked_after_receive_nowait: room in the buffer goes to one "
    "who "
    "waits to send",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        ends.send.send_nowait(1);
        bool sent = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await ends.send.send(2);
                sent = true;
            });
            co_await checkpoint();
            CHECK(ends.receive.receive_nowait() == 1);
        });
        CHECK(sent);
        CHECK(ends.receive.receive_nowait() == 2);
    });
}

TEST_CASE(
    "memory::send_nowait_then_receive_nowait: the buffer keeps the order, in a loop or "
    "outside one",
    "[streams]"
) {
    const auto two = [] {
        Ends<int> ends(2);
        ends.send.send_nowait(1);
        ends.send.send_nowait(2);
        CHECK_THROWS_AS(ends.send.send_nowait(3), WouldBlock);
        CHECK(ends.receive.receive_nowait() == 1);
        CHECK(ends.receive.receive_nowait() == 2);
        CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
    };
    two();
    test::over_backends([&]() -> Task<> {
        two();
        co_return;
    });
}

TEST_CASE(
    "trio.channel::unbuffered: without a buffer both sides wait for one another",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
        CHECK_THROWS_AS(ends.send.send_nowait(1), WouldBlock);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.send.send(1); });
            co_await checkpoint();
            CHECK_AWAITED(ends.receive.receive(), == 1);
            CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
        });
    });
}

TEST_CASE(
    "trio.channel::inf_capacity: an infinite buffer takes whatever comes, in order",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        constexpr int many = 10'000;
        Ends<int> ends(inf);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int task = 0; task < 2; ++task) {
                group.start_soon(
                    [&](int first) -> Task<> {
                        for (int i = first; i < many; i += 2) {
                            co_await ends.send.send(i);
                        }
                    },
                    task
                );
            }
            co_return;
        });
        CHECK(ends.send.statistics().current_buffer_used == many);
        ends.send.close();
        int last[2] = {-2, -1};
        for (int i = 0; i < many; ++i) {
            const int item = co_await ends.receive.receive();
            CHECK(item == last[item % 2] + 2);
            last[item % 2] = item;
        }
        CHECK_AWAITED(ends.receive.next(), == std::nullopt);
    });
}

TEST_CASE(
    "trio.channel::channel_fairness.a: an item that was sent to one who waits is "
    "nobody else's",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        int got = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                got = co_await ends.receive.receive();
            });
            co_await checkpoint();
            ends.send.send_nowait(1);
            CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
        });
        CHECK(got == 1);
    });
}

TEST_CASE(
    "trio.channel::channel_fairness.b: room that was made for one who waits is nobody "
    "else's",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        ends.send.send_nowait(1);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.send.send(2); });
            co_await checkpoint();
            CHECK(ends.receive.receive_nowait() == 1);
            CHECK_THROWS_AS(ends.send.send_nowait(3), WouldBlock);
            CHECK_AWAITED(ends.receive.receive(), == 2);
        });
    });
}

TEST_CASE(
    "memory::statistics: both ends tell what is in the stream, and who waits",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        const auto check =
            [&](std::size_t used, std::size_t sending, std::size_t receiving) {
                for (const auto& now :
                     {ends.send.statistics(), ends.receive.statistics()}) {
                    CHECK(now.max_buffer_size == 1);
                    CHECK(now.open_send_streams == 1);
                    CHECK(now.open_receive_streams == 1);
                    CHECK(now.current_buffer_used == used);
                    CHECK(now.tasks_waiting_send == sending);
                    CHECK(now.tasks_waiting_receive == receiving);
                }
            };
        const auto send = [&](int item) -> Task<> {
            co_await ends.send.send(item);
        };
        check(0, 0, 0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.receive.receive(); });
            co_await checkpoint();
            check(0, 0, 1);
            ends.send.send_nowait(0);
            check(0, 0, 0);
        });
        co_await ends.send.send(1);
        check(1, 0, 0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(send, 2);
            co_await checkpoint();
            check(1, 1, 0);
            group.start_soon(send, 3);
            group.start_soon(send, 4);
            co_await checkpoint();
            check(1, 3, 0);
            for (std::size_t left = 3; left > 0; --left) {
                co_await ends.receive.receive();
                check(1, left - 1, 0);
            }
        });
        CHECK_AWAITED(ends.receive.receive(), == 4);
        check(0, 0, 0);
    });
}

TEST_CASE(
    "trio.channel::statistics: ends and those who wait are counted while they are "
    "there, and the most that was buffered",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(3);
        auto other = ends.send.clone();
        CHECK(ends.send.statistics().open_send_streams == 2);
        other.close();
        CHECK(ends.send.statistics().open_send_streams == 1);
        {
            const auto another = ends.receive.clone();
            CHECK(another.statistics().open_receive_streams == 2);
        }
        CHECK(ends.send.statistics().open_receive_streams == 1);
        ends.send.send_nowait(1);
        ends.send.send_nowait(2);
        ends.receive.receive_nowait();
        ends.receive.receive_nowait();
        CHECK(ends.send.statistics().current_buffer_used == 0);
        CHECK(ends.send.statistics().max_buffer_used == 2);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.receive.receive(); });
            co_await checkpoint();
            CHECK(ends.send.statistics().tasks_waiting_receive == 1);
            group.cancel();
            CHECK(ends.send.statistics().tasks_waiting_receive == 0);
        });
        for (int i = 0; i < 3; ++i) {
            ends.send.send_nowait(i);
        }
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.send.send(3); });
            co_await checkpoint();
            CHECK(ends.send.statistics().tasks_waiting_send == 1);
            group.cancel();
            CHECK(ends.send.statistics().tasks_waiting_send == 0);
        });
        CHECK(ends.send.statistics().max_buffer_used == 3);
    });
}

// SPDX-License-Identifier: BSL-1.0
// Memory object streams: ends that are closed.
#include "concurrency/streams.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

using concurrency::BrokenResourceError;
using concurrency::checkpoint;
using concurrency::ClosedResourceError;
using concurrency::create_task_group;
using concurrency::EndOfStream;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::WouldBlock;
using test::Ends;
using test::throws;

TEST_CASE(
    "memory::iterate: next() gives every item, and stops when the last sending end is "
    "closed",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        std::vector<std::string> got;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                while (auto item = co_await ends.receive.next()) {
                    got.push_back(std::move(*item));
                }
            });
            co_await ends.send.send("hello");
            co_await ends.send.send("anyio");
            ends.send.close();
        });
        CHECK(got == std::vector<std::string>{"hello", "anyio"});
    });
}

TEST_CASE(
    "memory::receive_send_closed_send_stream: after the sending end is closed",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        ends.send.close();
        CHECK_THROWS_AS(ends.receive.receive_nowait(), EndOfStream);
        auto receiving = [&] {
            return ends.receive.receive();
        };
        CHECK_AWAITED(throws<EndOfStream>(receiving), == true);
        CHECK_AWAITED(ends.receive.next(), == std::nullopt);
        auto sending = [&] {
            return ends.send.send(1);
        };
        CHECK_AWAITED(throws<ClosedResourceError>(sending), == true);
    });
}

TEST_CASE(
    "memory::receive_send_closed_receive_stream: after the receiving end is closed",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        ends.receive.close();
        CHECK_THROWS_AS(ends.receive.receive_nowait(), ClosedResourceError);
        auto receiving = [&] {
            return ends.receive.next();
        };
        CHECK_AWAITED(throws<ClosedResourceError>(receiving), == true);
        auto sending = [&] {
            return ends.send.send(1);
        };
        CHECK_AWAITED(throws<BrokenResourceError>(sending), == true);
        CHECK_THROWS_AS(ends.send.send_nowait(1), BrokenResourceError);
    });
}

TEST_CASE(
    "memory::close_send_while_receiving: one who waits to receive gets EndOfStream",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        auto group_of_one = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> { co_await ends.receive.receive(); });
                co_await checkpoint();
                ends.send.close();
            });
        };
        CHECK_AWAITED(test::thrown_by(group_of_one), == "[the end of the stream]");
    });
}

TEST_CASE(
    "memory::close_receive_while_sending: one who waits to send gets "
    "BrokenResourceError",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        auto group_of_one = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> { co_await ends.send.send(""); });
                co_await checkpoint();
                ends.receive.close();
            });
        };
        CHECK_AWAITED(
            test::thrown_by(group_of_one), == "[the other end has been closed]"
        );
    });
}

TEST_CASE(
    "memory::receive_after_send_closed: what is in the buffer is still received",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(1);
        co_await ends.send.send("hello");
        ends.send.close();
        CHECK_AWAITED(ends.receive.receive(), == "hello");
        CHECK_THROWS_AS(ends.receive.receive_nowait(), EndOfStream);
    });
}

TEST_CASE(
    "memory::close_receive_after_send: each side closes its end after one item",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool send_first : {true, false}) {
            Ends<std::string> ends(0);
            const auto send = [&]() -> Task<> {
                co_await ends.send.send("test");
                ends.send.close();
            };
            const auto receive = [&]() -> Task<> {
                CHECK_AWAITED(ends.receive.receive(), == "test");
                ends.receive.close();
            };
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                if (send_first) {
                    group.start_soon(send);
                }
                group.start_soon(receive);
                if (!send_first) {
                    group.start_soon(send);
                }
                co_return;
            });
            CHECK(ends.send.statistics().open_send_streams == 0);
            CHECK(ends.send.statistics().open_receive_streams == 0);
        }
    });
}

TEST_CASE("memory::sync_close: both ends closed, both refuse", "[streams]") {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        ends.send.close();
        ends.receive.close();
        CHECK_THROWS_AS(ends.send.send_nowait(1), ClosedResourceError);
        CHECK_THROWS_AS(ends.receive.receive_nowait(), ClosedResourceError);
        co_return;
    });
}

TEST_CASE(
    "trio.channel::channel: a stream from its first item to its end", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(2);
        CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
        ends.send.send_nowait(1);
        co_await ends.send.send(2);
        CHECK_THROWS_AS(ends.send.send_nowait(3), WouldBlock);
        CHECK_AWAITED(ends.receive.receive(), == 1);
        CHECK(ends.receive.receive_nowait() == 2);
        ends.send.send_nowait(3);
        ends.send.close();
        ends.send.close();
        CHECK_THROWS_AS(ends.send.send_nowait(4), ClosedResourceError);
        CHECK_AWAITED(ends.receive.receive(), == 3);
        CHECK_AWAITED(ends.receive.next(), == std::nullopt);
        CHECK_THROWS_AS(ends.receive.receive_nowait(), EndOfStream);
        ends.receive.close();
        ends.receive.close();
        CHECK_THROWS_AS(ends.receive.receive_nowait(), ClosedResourceError);
    });
}

TEST_CASE(
    "trio.channel::close_basics.a trio.channel::close_sync: closing the sending end "
    "wakes those who wait in it, and those who wait to receive",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> full(0);
        Ends<int> empty(0);
        auto sending = [&] {
            return full.send.send(1);
        };
        auto receiving = [&] {
            return empty.receive.receive();
        };
        int closed = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const bool one = co_await throws<ClosedResourceError>(sending);
                closed += one ? 1 : 0;
            });
            group.start_soon([&]() -> Task<> {
                const bool one = co_await throws<EndOfStream>(receiving);
                closed += one ? 1 : 0;
            });
            co_await checkpoint();
            full.send.close();
            empty.send.close();
        });
        CHECK(closed == 2);
        CHECK_AWAITED(throws<ClosedResourceError>(sending), == true);
        CHECK_AWAITED(throws<EndOfStream>(receiving), == true);
        CHECK_THROWS_AS(full.receive.receive_nowait(), EndOfStream);
    });
}

TEST_CASE(
    "trio.channel::close_basics.b: closing the receiving end wakes those who wait to "
    "send, and those who wait in it",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> full(0);
        Ends<int> empty(0);
        auto sending = [&] {
            return full.send.send(1);
        };
        auto receiving = [&] {
            return empty.receive.receive();
        };
        int closed = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const bool one = co_await throws<BrokenResourceError>(sending);
                closed += one ? 1 : 0;
            });
            group.start_soon([&]() -> Task<> {
                const bool one = co_await throws<ClosedResourceError>(receiving);
                closed += one ? 1 : 0;
            });
            co_await checkpoint();
            full.receive.close();
            empty.receive.close();
        });
        CHECK(closed == 2);
        CHECK_AWAITED(throws<BrokenResourceError>(sending), == true);
        CHECK_AWAITED(throws<ClosedResourceError>(receiving), == true);
        CHECK_THROWS_AS(empty.receive.receive_nowait(), ClosedResourceError);
    });
}

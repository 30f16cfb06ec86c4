// SPDX-License-Identifier: BSL-1.0
// Memory object streams: ends that are cloned, moved and destroyed.
#include "concurrency/streams.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using concurrency::BrokenResourceError;
using concurrency::checkpoint;
using concurrency::ClosedResourceError;
using concurrency::create_task_group;
using concurrency::EndOfStream;
using concurrency::inf;
using concurrency::Task;
using concurrency::TaskGroup;
using test::Ends;
using test::throws;

TEST_CASE(
    "memory::clone memory::clone_closed: a clone goes on when the first one is closed",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> first(1);
        Ends<std::string> second({first.send.clone(), first.receive.clone()});
        first.send.close();
        first.receive.close();
        second.send.send_nowait("hello");
        CHECK(second.receive.receive_nowait() == "hello");
        CHECK_THROWS_AS(first.send.clone(), ClosedResourceError);
        CHECK_THROWS_AS(first.receive.clone(), ClosedResourceError);
        CHECK(second.send.statistics().open_send_streams == 1);
        co_return;
    });
}

TEST_CASE(
    "trio.channel::channel_multiple_producers: the last of ten producers ends it",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        std::vector<bool> got(30, false);
        const auto produce = [](auto send, int number) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                co_await send.send(3 * number + i);
            }
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 10; ++i) {
                group.start_soon(produce, ends.send.clone(), i);
            }
            ends.send.close();
            while (const auto item = co_await ends.receive.next()) {
                CHECK_FALSE(got[static_cast<std::size_t>(*item)]);
                got[static_cast<std::size_t>(*item)] = true;
            }
        });
        CHECK(got == std::vector<bool>(30, true));
    });
}

TEST_CASE(
    "trio.channel::channel_multiple_consumers: five who wait get an item each, and all "
    "ten "
    "arrive once",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        std::vector<std::vector<int>> got(5);
        const auto consume = [&](auto receive, std::size_t number) -> Task<> {
            while (const auto item = co_await receive.next()) {
                got[number].push_back(*item);
            }
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (std::size_t i = 0; i < 5; ++i) {
                group.start_soon(consume, ends.receive.clone(), i);
            }
            ends.receive.close();
            co_await checkpoint();
            for (int i = 0; i < 10; ++i) {
                co_await ends.send.send(i);
            }
            ends.send.close();
        });
        std::vector<bool> arrived(10, false);
        for (const auto& items : got) {
            CHECK_FALSE(items.empty());
            for (const int item : items) {
                CHECK_FALSE(arrived[static_cast<std::size_t>(item)]);
                arrived[static_cast<std::size_t>(item)] = true;
            }
        }
        CHECK(arrived == std::vector<bool>(10, true));
    });
}

TEST_CASE(
    "trio.channel::receive_channel_clone_and_close: sending breaks with the last "
    "receiving end",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(10);
        auto second = ends.receive.clone();
        auto third = ends.receive.clone();
        ends.send.send_nowait(1);
        ends.receive.close();
        ends.send.send_nowait(2);
        CHECK_AWAITED(second.receive(), == 1);
        second.close();
        ends.send.send_nowait(3);
        third.close();
        CHECK_THROWS_AS(ends.send.send_nowait(4), BrokenResourceError);
        CHECK(ends.send.statistics().current_buffer_used == 0);
    });
}

TEST_CASE(
    "trio.channel::close_multiple_send_handles: a sending end that is closed wakes "
    "only "
    "its own",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        auto other = ends.send.clone();
        bool closed = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto sending = [&] {
                    return ends.send.send("nope");
                };
                closed = co_await throws<ClosedResourceError>(sending);
            });
            group.start_soon([&]() -> Task<> { co_await other.send("yeah"); });
            co_await checkpoint();
            ends.send.close();
            CHECK_AWAITED(ends.receive.receive(), == "yeah");
        });
        CHECK(closed);
    });
}

TEST_CASE(
    "trio.channel::close_multiple_receive_handles: a receiving end that is closed "
    "wakes "
    "only its own",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        auto other = ends.receive.clone();
        bool closed = false;
        std::string got;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto receiving = [&] {
                    return ends.receive.receive();
                };
                closed = co_await throws<ClosedResourceError>(receiving);
            });
            group.start_soon([&]() -> Task<> { got = co_await other.receive(); });
            co_await checkpoint();
            ends.receive.close();
            co_await ends.send.send("yeah");
        });
        CHECK(closed);
        CHECK(got == "yeah");
    });
}

TEST_CASE(
    "streams: an end can be moved while a task waits in it, and destroyed", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        std::optional<Ends<int>> ends(std::in_place, 0);
        bool closed = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto receiving = [&] {
                    return ends->receive.receive();
                };
                closed = co_await throws<ClosedResourceError>(receiving);
            });
            co_await checkpoint();
            std::optional<Ends<int>> moved(std::move(ends));
            CHECK_THROWS_AS(ends->send.send_nowait(1), ClosedResourceError);
            CHECK_THROWS_AS(ends->receive.receive_nowait(), ClosedResourceError);
            CHECK_THROWS_AS(ends->receive.statistics(), ClosedResourceError);
            CHECK_NOTHROW(ends->receive.close());
            ends.reset();
            CHECK(moved->receive.statistics().tasks_waiting_receive == 1);
            moved.reset();
        });
        CHECK(closed);
        // A Task keeps to the end that it was made for.
        Ends<int> first(1);
        Task<> sending = first.send.send(5);
        Ends<int> second(std::move(first));
        co_await std::move(sending);
        CHECK(second.receive.receive_nowait() == 5);
    });
}

TEST_CASE("streams: assigning to an end closes what it was", "[streams]") {
    test::over_backends([]() -> Task<> {
        Ends<int> first(1);
        Ends<int> second(1);
        first.send = std::move(second.send);
        CHECK_THROWS_AS(first.receive.receive_nowait(), EndOfStream);
        first.send.send_nowait(1);
        CHECK(second.receive.receive_nowait() == 1);
        co_return;
    });
}

namespace {

/// Asks the stream that it lies in when it is destroyed.
struct Curious {
    explicit Curious(std::vector<std::size_t>& seen) : counts(&seen) {}

    Curious(Curious&& other) noexcept
        : counts(std::exchange(other.counts, nullptr)), ends(other.ends) {}

    ~Curious() {
        if (counts != nullptr) {
            counts->push_back(ends->send.statistics().current_buffer_used);
        }
    }

    std::vector<std::size_t>* counts;
    Ends<Curious>* ends = nullptr;
};

}  // namespace

TEST_CASE(
    "streams: the last receiving end takes what is in the buffer with it", "[streams]"
) {
    std::vector<std::size_t> counts;
    Ends<Curious> ends(inf);
    auto receive = ends.receive.clone();
    for (int i = 0; i < 2; ++i) {
        Curious item(counts);
        item.ends = &ends;
        ends.send.send_nowait(std::move(item));
    }
    ends.receive.close();
    CHECK(counts.empty());
    receive.close();
    CHECK(counts == std::vector<std::size_t>{0, 0});
}

// SPDX-License-Identifier: BSL-1.0
// Memory object streams: items that are moved, moves that throw, other loops.
#include "concurrency/cancel.hpp"
#include "concurrency/streams.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <memory>
#include <new>
#include <utility>
#include <vector>

using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::WouldBlock;
using test::Ends;

namespace {

/// Cannot be copied, and has no default.
struct Parcel {
    explicit Parcel(int n) : content(std::make_unique<int>(n)) {}

    std::unique_ptr<int> content;
};

/// Its moves throw while the switch is on.
struct Fragile {
    Fragile(int n, bool& throws_now) : number(n), throws(&throws_now) {}

    Fragile(Fragile&& other) : number(other.number), throws(other.throws) {
        if (*throws) {
            throw std::bad_alloc();
        }
    }

    int number;
    bool* throws;
};

}  // namespace

TEST_CASE("streams: items can be such as cannot be copied or made up", "[streams]") {
    test::over_backends([]() -> Task<> {
        for (const int size : {0, 1}) {
            Ends<Parcel> ends(size);
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    for (int i = 0; i < 4; ++i) {
                        co_await ends.send.send(Parcel(i));
                    }
                    ends.send.close();
                });
                co_await checkpoint();
                CHECK(*ends.receive.receive_nowait().content == 0);
                const Parcel parcel = co_await ends.receive.receive();
                CHECK(*parcel.content == 1);
                int next = 2;
                while (auto item = co_await ends.receive.next()) {
                    CHECK(*item->content == next++);
                }
                CHECK(next == 4);
            });
        }
    });
}

TEST_CASE(
    "streams: an item that could not be sent at once is where it was", "[streams]"
) {
    Ends<Parcel> ends(1);
    Parcel first(1);
    ends.send.send_nowait(std::move(first));
    Parcel second(2);
    CHECK_THROWS_AS(ends.send.send_nowait(std::move(second)), WouldBlock);
    CHECK(*second.content == 2);
    ends.receive.close();
    CHECK_THROWS_AS(
        ends.send.send_nowait(std::move(second)), concurrency::BrokenResourceError
    );
    CHECK(*second.content == 2);
}

TEST_CASE(
    "streams: a move that throws, throws out of the call that sends; nobody else loses",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        bool throws = false;
        Ends<Fragile> ends(1);
        const auto send = [&](int number) -> Task<> {
            co_await ends.send.send(Fragile(number, throws));
        };
        // To one who waits, who goes on waiting.
        int got = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                got = (co_await ends.receive.receive()).number;
            });
            co_await checkpoint();
            Fragile one(1, throws);
            throws = true;
            CHECK_THROWS_AS(ends.send.send_nowait(std::move(one)), std::bad_alloc);
            throws = false;
            CHECK(ends.send.statistics().tasks_waiting_receive == 1);
            ends.send.send_nowait(Fragile(2, throws));
        });
        CHECK(got == 2);
        // Into the buffer: what was in it comes out, and the next one gets the room.
        ends.send.send_nowait(Fragile(3, throws));
        int failures = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (const int number : {4, 5}) {
                group.start_soon(
                    [&](int item) -> Task<> {
                        auto sending = [&] {
                            return send(item);
                        };
                        const bool failed =
                            co_await test::throws<std::bad_alloc>(sending);
                        failures += failed ? item : 0;
                    },
                    number
                );
            }
            co_await checkpoint();
            throws = true;
            CHECK_THROWS_AS(ends.receive.receive_nowait(), std::bad_alloc);
            CHECK(ends.receive.statistics().current_buffer_used == 1);
            CHECK(ends.receive.statistics().tasks_waiting_send == 2);
            throws = false;
            CHECK(ends.receive.receive_nowait().number == 3);
            CHECK(ends.receive.receive_nowait().number == 4);
            CHECK(ends.receive.receive_nowait().number == 5);
        });
        CHECK(failures == 0);
    });
}

TEST_CASE(
    "streams: what the move of a waiting sender's item throws is that sender's",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        for (const int size : {0, 1}) {
            bool throws = false;
            bool never = false;
            Ends<Fragile> ends(size);
            if (size == 1) {
                ends.send.send_nowait(Fragile(0, never));
            }
            std::vector<int> failed;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                for (const int number : {1, 2}) {
                    group.start_soon(
                        [&](int item) -> Task<> {
                            auto sending = [&] {
                                return ends.send.send(
                                    Fragile(item, item == 1 ? throws : never)
                                );
                            };
                            const bool has_failed =
                                co_await test::throws<std::bad_alloc>(sending);
                            if (has_failed) {
                                failed.push_back(item);
                            }
                        },
                        number
                    );
                }
                co_await checkpoint();
                throws = true;
                if (size == 1) {
                    CHECK(ends.receive.receive_nowait().number == 0);
                }
                CHECK(ends.receive.receive_nowait().number == 2);
                CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
            });
            CHECK(failed == std::vector<int>{1});
        }
    });
}

TEST_CASE(
    "streams: waiting needs a loop, and tasks of two loops cannot meet", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_AWAITED(ends.receive.receive(), == 1);
            });
            co_await checkpoint();
            const auto elsewhere = [](auto body) {
                CHECK_THROWS_AS(concurrency::run_async(body), RuntimeError);
            };
            elsewhere([&] { return ends.send.send(1); });
            elsewhere([&]() -> Task<int> { return ends.receive.receive(); });
            elsewhere([&]() -> Task<> {
                ends.send.send_nowait(1);
                co_return;
            });
            elsewhere([&]() -> Task<> {
                ends.receive.close();
                co_return;
            });
            CHECK(ends.receive.statistics().tasks_waiting_receive == 1);
            co_await ends.send.send(1);
        });
        // One after the other they can.
        concurrency::run_async([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> { co_await ends.send.send(2); });
                CHECK_AWAITED(ends.receive.receive(), == 2);
            });
        });
    });
}

TEST_CASE(
    "streams: a task that never has to wait lets the others run now and then",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(1);
        concurrency::CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                scope.cancel();
                co_return;
            });
            co_await scope.run([&]() -> Task<> {
                for (;;) {
                    co_await ends.send.send(1);
                    co_await ends.receive.receive();
                }
            });
        });
        CHECK(scope.cancelled_caught());
    });
}

// SPDX-License-Identifier: BSL-1.0
// Event: a flag that wakes all that wait for it.
#include "concurrency/event.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <optional>
#include <type_traits>
#include <vector>

using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Event;
using concurrency::Task;
using concurrency::TaskGroup;

TEST_CASE("sync::Event.event: a task waits until another one sets it", "[event]") {
    test::over_backends([]() -> Task<> {
        Event event;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_FALSE(event.is_set());
                event.set();
                co_return;
            });
            co_await event.wait();
            CHECK(event.is_set());
        });
    });
}

TEST_CASE(
    "primitives::test_event_signaling trio.sync::Event: set wakes every waiter once, "
    "in "
    "order; waiting for a set event is a checkpoint",
    "[event]"
) {
    test::over_backends([]() -> Task<> {
        Event event;
        std::vector<int> woken;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 5; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    co_await event.wait();
                    woken.push_back(i);
                });
            }
            co_await checkpoint();
            co_await checkpoint();
            CHECK(woken.empty());
            event.set();
            event.set();
            CHECK(event.is_set());
        });
        CHECK(woken == std::vector<int>{0, 1, 2, 3, 4});

        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            bool run = false;
            group.start_soon([&]() -> Task<> {
                run = true;
                co_return;
            });
            co_await event.wait();
            CHECK(run);
        });
        static_assert(std::is_same_v<concurrency::ConcurrencyEvent, Event>);
    });
}

TEST_CASE(
    "sync::Event.event_cancel: waiting in a cancelled scope throws, although it is set",
    "[event]"
) {
    test::over_backends([]() -> Task<> {
        Event event;
        bool begun = false;
        bool past = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                begun = true;
                co_await event.wait();
                past = true;
            });
            group.cancel();
            event.set();
            co_return;
        });
        CHECK(begun);
        CHECK_FALSE(past);
    });
}

TEST_CASE(
    "sync::Event.event_wait_before_set_before_cancel: set first and cancelled then, a "
    "waiter returns",
    "[event]"
) {
    test::over_backends([]() -> Task<> {
        Event event;
        bool past = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                event.set();
                group.cancel();
                co_return;
            });
            co_await event.wait();
            past = true;
            CHECK(concurrency::cancel_pending());
        });
        CHECK(past);
    });
}

TEST_CASE("Event: a waiter that is cancelled is none any more", "[event]") {
    test::over_backends([]() -> Task<> {
        Event event;
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await scope.run(event.wait()); });
            co_await checkpoint();
            scope.cancel();
            CHECK(event.statistics().tasks_waiting == 0);
            event.set();
        });
        CHECK(scope.cancelled_caught());
    });
}

TEST_CASE(
    "sync::Event.statistics primitives::test_event_statistics: tell how many wait",
    "[event]"
) {
    test::over_backends([]() -> Task<> {
        Event event;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (std::size_t i = 0; i < 3; ++i) {
                CHECK(event.statistics().tasks_waiting == i);
                group.start_soon([&]() -> Task<> { co_await event.wait(); });
                co_await checkpoint();
            }
            CHECK(event.statistics().tasks_waiting == 3);
            event.set();
            CHECK(event.statistics().tasks_waiting == 0);
        });
    });
}

TEST_CASE(
    "sync::Event.instantiate_outside_event_loop: it may be made and set outside any "
    "loop",
    "[event]"
) {
    Event event;
    CHECK_FALSE(event.is_set());
    CHECK(event.statistics().tasks_waiting == 0);
    event.set();
    CHECK(event.is_set());
    test::over_backends([&]() -> Task<> { co_await event.wait(); });
}

TEST_CASE("Event: may be destroyed as soon as it was set", "[event]") {
    test::over_backends([]() -> Task<> {
        std::optional<Event> event;
        event.emplace();
        bool past = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await event->wait();
                past = true;
            });
            co_await checkpoint();
            event->set();
            event.reset();
        });
        CHECK(past);
    });
}

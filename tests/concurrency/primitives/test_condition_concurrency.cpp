// SPDX-License-Identifier: BSL-1.0
// Condition: waiting for a change of what a lock protects.
#include "concurrency/condition.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/throws.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::Condition;
using concurrency::create_task_group;
using concurrency::Lock;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::WouldBlock;

namespace {

/// Waits once, and notes that it was woken with the lock.
Task<> wait_once(Condition& condition, int& woken) {
    auto guard = co_await condition.scoped();
    co_await condition.wait();
    CHECK(condition.locked());
    ++woken;
}

bool has_lock(const Condition& condition) {
    const auto owner = condition.statistics().lock_statistics.owner;
    return owner && *owner == concurrency::current_task();
}

}  // namespace

TEST_CASE(
    "sync::Condition.contextmanager sync::Condition.manual_acquire: a waiter is woken "
    "and has the lock",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto guard = co_await condition.scoped();
                CHECK(condition.locked());
                condition.notify_all();
            });
            auto guard = co_await condition.scoped();
            co_await condition.wait();
            CHECK(has_lock(condition));
        });
        CHECK_FALSE(condition.locked());
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await condition.acquire();
                condition.notify_all();
                condition.release();
            });
            co_await condition.acquire();
            co_await condition.wait();
            CHECK(has_lock(condition));
            condition.release();
        });
        CHECK_FALSE(condition.locked());
    });
}

TEST_CASE(
    "primitives::test_condition_without_explicit_lock: a consumer waits in a loop for "
    "what a producer makes",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        std::vector<int> items;
        int taken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto guard = co_await condition.scoped();
                while (items.empty()) {
                    co_await condition.wait();
                }
                taken = items.back();
            });
            co_await checkpoint();
            auto guard = co_await condition.scoped();
            items.push_back(42);
            condition.notify();
        });
        CHECK(taken == 42);
    });
}

TEST_CASE(
    "sync::Condition.acquire_nowait sync::Condition.acquire_nowait_wouldblock: takes "
    "the lock or throws",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        condition.acquire_nowait();
        CHECK(condition.locked());
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_THROWS_AS(condition.acquire_nowait(), WouldBlock);
                co_return;
            });
            co_return;
        });
        condition.release();
    });
}

TEST_CASE(
    "sync::Condition.wait_no_lock trio.sync::Condition.b: nothing works without the "
    "lock",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        auto wait = [&] {
            return condition.wait();
        };
        auto wait_for = [&] {
            return condition.wait_for([] { return true; });
        };
        CHECK_AWAITED(test::throws<RuntimeError>(wait), == true);
        CHECK_AWAITED(test::throws<RuntimeError>(wait_for), == true);
        CHECK_THROWS_AS(condition.notify(), RuntimeError);
        CHECK_THROWS_AS(condition.notify_all(), RuntimeError);
        CHECK_THROWS_AS(condition.release(), RuntimeError);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto guard = co_await condition.scoped();
            group.start_soon([&]() -> Task<> {
                auto wait_here = [&] {
                    return condition.wait();
                };
                CHECK_AWAITED(test::throws<RuntimeError>(wait_here), == true);
                CHECK_THROWS_AS(condition.notify(), RuntimeError);
            });
            co_await checkpoint();
        });
    });
}

TEST_CASE(
    "primitives::test_condition_notify_selective: notify(2) wakes two of five, "
    "notify_all() the rest",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        int woken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 5; ++i) {
                group.start_soon(wait_once, std::ref(condition), std::ref(woken));
            }
            co_await checkpoint();
            {
                auto guard = co_await condition.scoped();
                condition.notify(0);
                condition.notify(2);
            }
            for (int i = 0; i < 4; ++i) {
                co_await checkpoint();
            }
            CHECK(woken == 2);
            auto guard = co_await condition.scoped();
            condition.notify_all();
        });
        CHECK(woken == 5);
        CHECK_FALSE(condition.locked());
    });
}

TEST_CASE(
    "trio.sync::Condition.c: who is notified waits for the lock, in turn", "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        Condition condition(lock);
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    auto guard = co_await condition.scoped();
                    co_await condition.wait();
                    order.push_back(i);
                });
            }
            co_await checkpoint();
            {
                auto guard = co_await condition.scoped();
                CHECK(condition.statistics().tasks_waiting == 3);
                condition.notify(2);
                CHECK(condition.statistics().tasks_waiting == 1);
                CHECK(condition.statistics().lock_statistics.tasks_waiting == 2);
            }
            CHECK(lock.locked());
            CHECK(lock.statistics().tasks_waiting == 1);
            co_await checkpoint();
            co_await checkpoint();
            CHECK(order == std::vector<int>{0, 1});
            auto guard = co_await lock.scoped();
            condition.notify_all();
        });
        CHECK(order == std::vector<int>{0, 1, 2});
    });
}

TEST_CASE(
    "sync::Condition.wait_cancel: cancelled in wait, a task has the lock when "
    "Cancelled "
    "arrives",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        bool had_lock = false;
        bool past = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto guard = co_await condition.scoped();
                try {
                    co_await condition.wait();
                    past = true;
                } catch (const Cancelled& cancelled) {
                    had_lock = has_lock(condition);
                    CHECK(cancelled.reason() == "enough");
                    throw;
                }
            });
            co_await checkpoint();
            auto guard = co_await condition.scoped();
            group.cancel("enough");
            co_await concurrency::cancel_shielded_checkpoint();
            CHECK_FALSE(had_lock);
        });
        CHECK(had_lock);
        CHECK_FALSE(past);
        CHECK_FALSE(condition.locked());
    });
}

TEST_CASE(
    "trio.sync::Condition.d: waiting in a cancelled scope throws, with the lock",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        auto guard = co_await condition.scoped();
        CancelScope scope;
        scope.cancel();
        bool caught = false;
        co_await scope.run([&]() -> Task<> {
            try {
                co_await condition.wait();
            } catch (const Cancelled&) {
                caught = has_lock(condition);
                throw;
            }
        });
        CHECK(caught);
        CHECK(has_lock(condition));
    });
}

TEST_CASE(
    "sync::Condition.notification_handover_on_cancel: cancelled and then notified, the "
    "notification is the next one's",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        CancelScope first;
        int woken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await first.run([&] { return wait_once(condition, woken); });
            });
            group.start_soon(wait_once, std::ref(condition), std::ref(woken));
            co_await checkpoint();
            auto guard = co_await condition.scoped();
            first.cancel();
            condition.notify();
        });
        CHECK(woken == 1);
        CHECK(first.cancelled_caught());
    });
}

TEST_CASE(
    "Condition: notified and then cancelled, a task has the notification", "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        CancelScope first;
        int woken = 0;
        int others = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await first.run([&] { return wait_once(condition, woken); });
            });
            group.start_soon(wait_once, std::ref(condition), std::ref(others));
            co_await checkpoint();
            {
                auto guard = co_await condition.scoped();
                condition.notify();
                first.cancel();
            }
            for (int i = 0; i < 4; ++i) {
                co_await checkpoint();
            }
            CHECK(woken == 1);
            CHECK(others == 0);
            auto guard = co_await condition.scoped();
            condition.notify();
        });
        CHECK(others == 1);
    });
}

TEST_CASE(
    "Condition: cancelled twice while it waits for the lock, a task throws once",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        CancelScope outer;
        CancelScope inner;
        int woken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await outer.run([&]() -> Task<> {
                    co_await inner.run([&] { return wait_once(condition, woken); });
                });
            });
            co_await checkpoint();
            auto guard = co_await condition.scoped();
            inner.cancel();
            inner.set_shield(true);
            outer.cancel();
            inner.set_shield(false);
            co_await checkpoint();
            CHECK(condition.statistics().lock_statistics.tasks_waiting == 1);
        });
        CHECK(woken == 0);
        CHECK(outer.cancelled_caught());
        CHECK_FALSE(condition.locked());
    });
}

TEST_CASE(
    "Condition: a shield that is put up after the cancellation does not take it back",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        CancelScope outer;
        CancelScope inner;
        int woken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await outer.run([&]() -> Task<> {
                    co_await inner.run([&] { return wait_once(condition, woken); });
                });
            });
            co_await checkpoint();
            auto guard = co_await condition.scoped();
            outer.cancel();
            inner.set_shield(true);
        });
        CHECK(woken == 0);
        CHECK(outer.cancel_called());
    });
}

TEST_CASE(
    "sync::Condition.statistics primitives::test_condition_statistics: tell of the "
    "waiters and of the lock",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        int woken = 0;
        CHECK(condition.statistics().tasks_waiting == 0);
        CHECK_FALSE(condition.statistics().lock_statistics.locked);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (std::size_t i = 1; i <= 2; ++i) {
                group.start_soon(wait_once, std::ref(condition), std::ref(woken));
                co_await checkpoint();
                CHECK(condition.statistics().tasks_waiting == i);
                CHECK_FALSE(condition.statistics().lock_statistics.locked);
            }
            auto guard = co_await condition.scoped();
            CHECK(condition.statistics().lock_statistics.locked);
            for (std::size_t i = 2; i > 0; --i) {
                CHECK(condition.statistics().tasks_waiting == i);
                condition.notify(1);
            }
            CHECK(condition.statistics().tasks_waiting == 0);
        });
        CHECK(woken == 2);
    });
}

TEST_CASE(
    "sync::Condition.instantiate_outside_event_loop: it may be made outside any loop",
    "[condition]"
) {
    Condition condition;
    CHECK(condition.statistics().tasks_waiting == 0);
    test::over_backends([&]() -> Task<> {
        int woken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(wait_once, std::ref(condition), std::ref(woken));
            co_await checkpoint();
            auto guard = co_await condition.scoped();
            condition.notify();
        });
        CHECK(woken == 1);
    });
}

TEST_CASE(
    "sync::Condition.wait_for: returns when the predicate is true, with what it gave",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        std::string text;
        std::optional<std::string> got;
        int asked = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto guard = co_await condition.scoped();
                got = co_await condition.wait_for([&]() -> std::optional<std::string> {
                    ++asked;
                    return text.empty() ? std::nullopt : std::optional(text);
                });
                CHECK(has_lock(condition));
            });
            co_await checkpoint();
            for (const char* next : {"", "now"}) {
                CHECK_FALSE(got.has_value());
                auto guard = co_await condition.scoped();
                text = next;
                condition.notify_all();
                guard.release();
                co_await checkpoint();
                co_await checkpoint();
            }
            CHECK(got == "now");
        });
        CHECK(asked == 3);
        auto guard = co_await condition.scoped();
        CHECK_AWAITED(condition.wait_for([] { return true; }), == true);
        const auto made =
            co_await condition.wait_for([] { return std::make_unique<int>(5); });
        CHECK(*made == 5);
    });
}

TEST_CASE(
    "trio.sync::Condition.a: over a lock that is given, it shares that lock",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        Condition condition(lock);
        Condition by_address(&lock);
        Condition own(nullptr);
        CHECK_FALSE(condition.locked());
        co_await lock.acquire();
        CHECK(condition.locked());
        CHECK(by_address.locked());
        CHECK_FALSE(own.locked());
        condition.notify();
        condition.release();
        CHECK_FALSE(lock.locked());
        static_assert(!std::is_constructible_v<Condition, int&>);
        static_assert(!std::is_constructible_v<Condition, Condition&>);
    });
}

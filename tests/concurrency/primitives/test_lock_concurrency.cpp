// SPDX-License-Identifier: BSL-1.0
// Lock: one task at a time, first come, first served.
#include "concurrency/lock.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/throws.hpp"

#include <cstdint>
#include <vector>

using concurrency::cancel_shielded_checkpoint;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Lock;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::WouldBlock;

namespace {

std::uint64_t own_id() {
    return concurrency::current_task().id();
}

std::uint64_t owner_of(const Lock& lock) {
    const auto owner = lock.statistics().owner;
    return owner ? owner->id() : 0;
}

/// A task of the group that waits for the lock, and holds it for one checkpoint.
void start_user(TaskGroup& group, Lock& lock, std::vector<int>& order, int number) {
    group.start_soon([&lock, &order, number]() -> Task<> {
        auto guard = co_await lock.scoped();
        order.push_back(number);
        co_await checkpoint();
    });
}

}  // namespace

TEST_CASE(
    "sync::Lock.contextmanager primitives::test_lock_is_a_context_manager: a guard "
    "holds the lock as long as it lives",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            start_user(group, lock, order, 2);
            auto guard = co_await lock.scoped();
            co_await checkpoint();
            CHECK(lock.locked());
            CHECK(lock.statistics().tasks_waiting == 1);
            order.push_back(1);
        });
        CHECK(order == std::vector<int>{1, 2});
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE("sync::Lock.manual_acquire: acquire and release by hand", "[lock]") {
    test::over_backends([]() -> Task<> {
        Lock lock;
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await lock.acquire();
                order.push_back(2);
                lock.release();
            });
            co_await lock.acquire();
            co_await checkpoint();
            order.push_back(1);
            lock.release();
        });
        CHECK(order == std::vector<int>{1, 2});
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE(
    "primitives::test_lock_mutual_exclusion: what is read and written under the lock "
    "loses nothing",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        int count = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 10; ++i) {
                group.start_soon([&]() -> Task<> {
                    for (int k = 0; k < 10; ++k) {
                        auto guard = co_await lock.scoped();
                        const int read = count;
                        co_await checkpoint();
                        count = read + 1;
                    }
                });
            }
            co_return;
        });
        CHECK(count == 100);
    });
}

TEST_CASE("Lock: tasks get it in the order in which they asked", "[lock]") {
    test::over_backends([]() -> Task<> {
        Lock lock;
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto guard = co_await lock.scoped();
            for (int i = 0; i < 6; ++i) {
                start_user(group, lock, order, i);
            }
            co_await checkpoint();
            CHECK(lock.statistics().tasks_waiting == 6);
        });
        CHECK(order == std::vector<int>{0, 1, 2, 3, 4, 5});
    });
}

TEST_CASE(
    "sync::Lock.fast_acquire: a free lock is taken without letting others run, but for "
    "one time in some hundreds",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            bool run = false;
            group.start_soon([&]() -> Task<> {
                run = true;
                co_return;
            });
            co_await lock.acquire();
            CHECK_FALSE(run);
            lock.release();
            for (int i = 0; i < 256; ++i) {
                auto guard = co_await lock.scoped();
                CHECK(owner_of(lock) == own_id());
            }
            CHECK(run);
        });
    });
}

TEST_CASE(
    "sync::Lock.acquire_nowait sync::Lock.acquire_nowait_wouldblock: acquire_nowait "
    "takes the lock or throws",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        lock.acquire_nowait();
        CHECK(lock.locked());
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_THROWS_AS(lock.acquire_nowait(), WouldBlock);
                co_return;
            });
            co_return;
        });
        lock.release();
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE(
    "sync::Lock.acquire_twice_async sync::Lock.acquire_twice_sync: the owner cannot "
    "acquire it again",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        co_await lock.acquire();
        auto again = [&] {
            return lock.acquire();
        };
        CHECK_AWAITED(test::throws<RuntimeError>(again), == true);
        auto again_scoped = [&] {
            return lock.scoped();
        };
        CHECK_AWAITED(test::throws<RuntimeError>(again_scoped), == true);
        CHECK_THROWS_AS(lock.acquire_nowait(), RuntimeError);
        CHECK(lock.locked());
        lock.release();
    });
}

TEST_CASE(
    "trio.sync::Lock_and_StrictFIFOLock: it is released by its owner only, and tells "
    "who that is",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CHECK_THROWS_AS(lock.release(), RuntimeError);
        lock.acquire_nowait();
        CHECK_THROWS_AS(lock.acquire_nowait(), RuntimeError);
        lock.release();
        CHECK_THROWS_AS(lock.release(), RuntimeError);

        CancelScope holder;
        CancelScope waiter;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            std::uint64_t holder_id = 0;
            group.start_soon([&]() -> Task<> {
                co_await holder.run([&]() -> Task<> {
                    auto guard = co_await lock.scoped();
                    holder_id = own_id();
                    co_await concurrency::sleep_forever();
                });
            });
            co_await checkpoint();
            CHECK(owner_of(lock) == holder_id);
            CHECK_THROWS_AS(lock.release(), RuntimeError);
            CHECK_THROWS_AS(lock.acquire_nowait(), WouldBlock);
            group.start_soon([&]() -> Task<> { co_await waiter.run(lock.acquire()); });
            co_await checkpoint();
            CHECK(lock.statistics().tasks_waiting == 1);
            waiter.cancel();
            holder.cancel();
        });
        CHECK(waiter.cancelled_caught());
        CHECK_FALSE(lock.locked());
        CHECK(lock.statistics().tasks_waiting == 0);
    });
}

TEST_CASE(
    "sync::Lock.cancel_during_acquire: a cancelled waiter never gets it, whether or "
    "not "
    "it has noticed when the lock is released",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool notices : {false, true}) {
            Lock lock;
            bool acquired = false;
            lock.acquire_nowait();
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await lock.acquire();
                    acquired = true;
                    lock.release();
                });
                co_await checkpoint();
                group.cancel();
                if (notices) {
                    co_await cancel_shielded_checkpoint();
                }
                lock.release();
            });
            CHECK_FALSE(acquired);
            CHECK_FALSE(lock.locked());
        }
    });
}

TEST_CASE(
    "sync::Lock.statistics: tell whether it is locked and how many wait", "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CHECK_FALSE(lock.statistics().locked);
        CHECK(lock.statistics().tasks_waiting == 0);
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto guard = co_await lock.scoped();
            CHECK(lock.statistics().locked);
            for (int i = 0; i < 3; ++i) {
                CHECK(lock.statistics().tasks_waiting == static_cast<std::size_t>(i));
                start_user(group, lock, order, i);
                co_await checkpoint();
            }
        });
        CHECK_FALSE(lock.statistics().locked);
        CHECK_FALSE(lock.statistics().owner.has_value());
        CHECK(lock.statistics().tasks_waiting == 0);
    });
}

TEST_CASE(
    "sync::Lock.asyncio_deadlock: a holder that is cancelled frees it for the next one",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CancelScope first;
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await first.run([&]() -> Task<> {
                    auto guard = co_await lock.scoped();
                    co_await checkpoint();
                    order.push_back(1);
                });
            });
            start_user(group, lock, order, 2);
            co_await checkpoint();
            first.cancel();
        });
        CHECK(order == std::vector<int>{2});
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE(
    "sync::Lock.cancel_after_release sync::Lock.owner_after_release: who is given the "
    "lock owns it before it runs, and keeps it when it is cancelled then",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CancelScope scope;
        bool got_it = false;
        lock.acquire_nowait();
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            std::uint64_t waiter = 0;
            group.start_soon([&]() -> Task<> {
                waiter = own_id();
                co_await scope.run([&]() -> Task<> {
                    auto guard = co_await lock.scoped();
                    got_it = true;
                    co_await checkpoint();
                });
            });
            co_await checkpoint();
            lock.release();
            CHECK(owner_of(lock) == waiter);
            scope.cancel();
            CHECK(owner_of(lock) == waiter);
            CHECK(lock.statistics().tasks_waiting == 0);
            CHECK_THROWS_AS(lock.acquire_nowait(), WouldBlock);
        });
        CHECK(got_it);
        CHECK(scope.cancelled_caught());
        lock.acquire_nowait();
        lock.release();
    });
}

TEST_CASE(
    "sync::Lock.cancelled_after_acquire: nobody waits when the only waiter was "
    "cancelled",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            lock.acquire_nowait();
            group.start_soon([&]() -> Task<> { co_await scope.run(lock.acquire()); });
            co_await checkpoint();
            scope.cancel();
            CHECK(lock.statistics().tasks_waiting == 0);
            lock.release();
            CHECK_FALSE(lock.locked());
            co_await lock.acquire();
            lock.release();
        });
    });
}

TEST_CASE("Lock: a task in a cancelled scope does not get it, free or not", "[lock]") {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CancelScope scope;
        scope.cancel();
        CHECK_AWAITED(scope.run(lock.acquire()), == false);
        CHECK_FALSE(lock.locked());
        CancelScope of_guard;
        of_guard.cancel();
        co_await of_guard.run(lock.scoped());
        CHECK(of_guard.cancelled_caught());
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE(
    "sync::Lock.instantiate_outside_event_loop: it may be made before any loop runs",
    "[lock]"
) {
    Lock lock;
    CHECK_FALSE(lock.locked());
    CHECK_FALSE(lock.statistics().owner.has_value());
    CHECK(lock.statistics().tasks_waiting == 0);
    test::over_backends([&]() -> Task<> {
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto guard = co_await lock.scoped();
            start_user(group, lock, order, 1);
            co_await checkpoint();
        });
        CHECK(order.size() == 1);
    });
    CHECK_FALSE(lock.locked());
}

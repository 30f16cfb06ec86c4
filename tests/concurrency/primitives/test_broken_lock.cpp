// SPDX-License-Identifier: BSL-1.0
// A lock whose owner ended without releasing it.
#include "concurrency/condition.hpp"
#include "concurrency/lock.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/throws.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>

using concurrency::BrokenResourceError;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::Condition;
using concurrency::create_task_group;
using concurrency::Lock;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

/// Acquires the lock and ends, as its owner.
Task<> acquire_and_end(Lock& lock) {
    co_await lock.acquire();
    co_await checkpoint();
}

}  // namespace

TEST_CASE(
    "trio.sync::lock_acquire_unowned_lock: whoever asks for it gets "
    "BrokenResourceError "
    "with the owner's number",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        std::string number;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                number = std::to_string(concurrency::current_task().id());
                co_await acquire_and_end(lock);
            });
            co_return;
        });
        CHECK(lock.locked());
        CHECK(lock.statistics().locked);
        CHECK_FALSE(lock.statistics().owner.has_value());
        auto acquire = [&] {
            return lock.acquire();
        };
        auto scoped = [&] {
            return lock.scoped();
        };
        CHECK_AWAITED(test::throws<BrokenResourceError>(acquire), == true);
        CHECK_AWAITED(test::throws<BrokenResourceError>(scoped), == true);
        CHECK_AWAITED(
            test::thrown_by(acquire), .find("number " + number) != std::string::npos
        );
        CHECK_THROWS_AS(lock.acquire_nowait(), BrokenResourceError);
        CHECK_THROWS_AS(lock.release(), concurrency::RuntimeError);
    });
}

TEST_CASE(
    "trio.sync::lock_multiple_acquire: those that wait are woken with that", "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        int broken = 0;
        CancelScope cancelled;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon(acquire_and_end, std::ref(lock));
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    auto acquire = [&] {
                        return lock.acquire();
                    };
                    const bool thrown =
                        co_await test::throws<BrokenResourceError>(acquire);
                    broken += thrown ? 1 : 0;
                });
            }
            group.start_soon([&]() -> Task<> {
                co_await cancelled.run(lock.acquire());
            });
            co_await checkpoint();
            CHECK(lock.statistics().tasks_waiting == 4);
            cancelled.cancel();
        });
        CHECK(broken == 3);
        CHECK(cancelled.cancelled_caught());
        CHECK(lock.statistics().tasks_waiting == 0);
    });
}

TEST_CASE(
    "trio.sync::lock_handover: only the one who has it at the end of the chain breaks "
    "it",
    "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            lock.acquire_nowait();
            group.start_soon(acquire_and_end, std::ref(lock));
            co_await checkpoint();
            lock.release();
            CHECK(lock.statistics().owner.has_value());
        });
        CHECK_THROWS_AS(lock.acquire_nowait(), BrokenResourceError);

        Lock passed_on;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    co_await passed_on.acquire();
                    co_await checkpoint();
                    passed_on.release();
                });
            }
            co_return;
        });
        passed_on.acquire_nowait();
        passed_on.release();
    });
}

TEST_CASE("Lock: what the main task keeps to the end of its loop is broken", "[lock]") {
    test::each_backend([](concurrency::Backend backend) {
        Lock lock;
        const auto keep = [&]() -> Task<> {
            co_await lock.acquire();
        };
        concurrency::run(keep, backend);
        CHECK_THROWS_AS(concurrency::run(keep, backend), BrokenResourceError);
    });
}

TEST_CASE(
    "Lock: a guard that outlives the task that got it holds nothing any more", "[lock]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        std::optional<Lock::Guard> kept;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto guard = co_await lock.scoped();
                kept.emplace(std::move(guard));
            });
            co_return;
        });
        CHECK_THROWS_AS(lock.acquire_nowait(), BrokenResourceError);
        CHECK_THROWS_AS(kept->release(), concurrency::RuntimeError);
        kept.reset();
        CHECK_THROWS_AS(lock.acquire_nowait(), BrokenResourceError);
    });
}

TEST_CASE(
    "Lock: destroyed while its owner lives, it is the owner's no more", "[lock]"
) {
    test::over_backends([]() -> Task<> {
        std::optional<Lock> lock;
        lock.emplace();
        co_await lock->acquire();
        lock.emplace();
        co_await lock->acquire();
        lock->release();
    });
}

TEST_CASE(
    "Condition: a waiter that cannot get a broken lock back throws BrokenResourceError",
    "[condition]"
) {
    test::over_backends([]() -> Task<> {
        Condition condition;
        CancelScope cancelled;
        int broken = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto wait = [&]() -> Task<> {
                auto guard = co_await condition.scoped();
                co_await condition.wait();
            };
            auto user = [&, wait]() -> Task<> {
                auto wait_here = wait;
                const bool thrown =
                    co_await test::throws<BrokenResourceError>(wait_here);
                broken += thrown ? 1 : 0;
            };
            group.start_soon(user);
            group.start_soon([&, user]() -> Task<> {
                auto body = user;
                co_await cancelled.run(std::ref(body));
            });
            co_await checkpoint();
            CHECK(condition.statistics().tasks_waiting == 2);
            group.start_soon([&]() -> Task<> {
                co_await condition.acquire();
                condition.notify();
            });
            co_await checkpoint();
            co_await checkpoint();
            CHECK(broken == 1);
            CHECK(condition.statistics().tasks_waiting == 1);
            cancelled.cancel();
        });
        CHECK(broken == 2);
    });
}

// SPDX-License-Identifier: BSL-1.0
// Guard: what a task got, as a value.
#include "concurrency/capacity_limiter.hpp"
#include "concurrency/guard.hpp"
#include "concurrency/lock.hpp"
#include "concurrency/semaphore.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <optional>
#include <type_traits>
#include <utility>

using concurrency::CapacityLimiter;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Lock;
using concurrency::Semaphore;
using concurrency::Task;
using concurrency::TaskGroup;

TEST_CASE("Guard: can be moved, and holds its part once", "[guard]") {
    static_assert(!std::is_copy_constructible_v<Lock::Guard>);
    static_assert(std::is_nothrow_move_constructible_v<Lock::Guard>);
    test::over_backends([]() -> Task<> {
        Lock lock;
        Lock other;
        Lock::Guard nothing;
        CHECK_FALSE(nothing);
        auto guard = co_await lock.scoped();
        CHECK(guard);
        Lock::Guard moved = std::move(guard);
        CHECK(lock.locked());
        auto of_other = co_await other.scoped();
        of_other = std::move(moved);
        CHECK(lock.locked());
        CHECK_FALSE(other.locked());
        Lock::Guard& itself = of_other;
        of_other = std::move(itself);
        CHECK(of_other);
        of_other = Lock::Guard();
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE("Guard: release() gives back early, and once", "[guard]") {
    test::over_backends([]() -> Task<> {
        Lock lock;
        Semaphore semaphore(1);
        CapacityLimiter limiter(1);
        auto has_lock = co_await lock.scoped();
        auto has_permit = co_await semaphore.scoped();
        auto has_token = co_await limiter.scoped();
        for (int i = 0; i < 2; ++i) {
            has_lock.release();
            has_permit.release();
            has_token.release();
            CHECK_FALSE(lock.locked());
            CHECK(semaphore.value() == 1);
            CHECK(limiter.borrowed_tokens() == 0);
        }
        CHECK_FALSE(has_lock);
    });
}

TEST_CASE(
    "Guard: released in another task it throws, destroyed there it releases", "[guard]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        CapacityLimiter limiter(1);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto guard = co_await lock.scoped();
            auto token = co_await limiter.scoped();
            group.start_soon(
                [&](Lock::Guard taken, CapacityLimiter::Guard taken_token) -> Task<> {
                    CHECK_THROWS_AS(taken.release(), concurrency::RuntimeError);
                    CHECK(taken);
                    CHECK(lock.locked());
                    taken_token.release();
                    CHECK(limiter.borrowed_tokens() == 0);
                    co_return;
                },
                std::move(guard),
                std::move(token)
            );
            co_await checkpoint();
            CHECK_FALSE(lock.locked());
            co_await lock.acquire();
            lock.release();
        });
    });
}

TEST_CASE("Guard: does nothing about what was given back by hand", "[guard]") {
    test::over_backends([]() -> Task<> {
        Lock lock;
        Semaphore semaphore(1, 1);
        CapacityLimiter limiter(1);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            {
                auto guard = co_await lock.scoped();
                auto permit = co_await semaphore.scoped();
                auto token = co_await limiter.scoped();
                lock.release();
                semaphore.release();
                limiter.release();
                CHECK_THROWS_AS(guard.release(), concurrency::RuntimeError);
                CHECK_THROWS_AS(token.release(), concurrency::RuntimeError);
                group.start_soon([&]() -> Task<> {
                    auto his = co_await lock.scoped();
                    co_await checkpoint();
                    CHECK(lock.locked());
                });
                co_await checkpoint();
            }
            CHECK(lock.locked());
            CHECK(semaphore.value() == 1);
            CHECK(limiter.borrowed_tokens() == 0);
        });
        CHECK_FALSE(lock.locked());
    });
}

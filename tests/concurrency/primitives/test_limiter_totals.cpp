// SPDX-License-Identifier: BSL-1.0
// CapacityLimiter: how many tokens there are, and what changing that does.
#include "concurrency/capacity_limiter.hpp"
#include "concurrency/event.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <limits>
#include <vector>

using concurrency::CancelScope;
using concurrency::CapacityLimiter;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Event;
using concurrency::inf;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::ValueError;
using concurrency::WouldBlock;

TEST_CASE(
    "sync::CapacityLimiter.bad_init_type sync::CapacityLimiter.bad_init_value "
    "primitives::test_capacity_limiter_invalid_total_tokens "
    "primitives::test_capacity_limiter_invalid_total_tokens_setter: the total is a "
    "whole number that is not negative",
    "[limiter]"
) {
    CapacityLimiter limiter(1);
    for (const double total :
         {-1.0, 2.5, -inf, std::numeric_limits<double>::quiet_NaN()}) {
        CHECK_THROWS_AS(CapacityLimiter(total), ValueError);
        CHECK_THROWS_AS(limiter.set_total_tokens(total), ValueError);
        CHECK(limiter.total_tokens() == 1);
    }
    CHECK(CapacityLimiter(1.0).total_tokens() == 1);
}

TEST_CASE(
    "sync::CapacityLimiter.zero_tokens "
    "sync::CapacityLimiter.zero_tokens_outside_event_loop: a total of 0 is one",
    "[limiter]"
) {
    CapacityLimiter limiter(0);
    CHECK(limiter.total_tokens() == 0);
    limiter.set_total_tokens(1);
    limiter.set_total_tokens(0);
    CHECK(limiter.total_tokens() == 0);
    test::over_backends([]() -> Task<> {
        CapacityLimiter inside(0);
        CHECK(inside.available_tokens() == 0);
        CHECK_THROWS_AS(inside.acquire_nowait(), WouldBlock);
        co_return;
    });
}

TEST_CASE(
    "sync::CapacityLimiter.float_infinity_outside_event_loop "
    "trio.sync::CapacityLimiter_inf: without a limit, all get in and are counted",
    "[limiter]"
) {
    CapacityLimiter limiter(inf);
    limiter.set_total_tokens(std::numeric_limits<float>::infinity());
    CHECK(limiter.total_tokens() == inf);
    test::over_backends([&]() -> Task<> {
        for (int i = 0; i < 100; ++i) {
            co_await limiter.acquire_on_behalf_of(i);
        }
        CHECK(limiter.borrowed_tokens() == 100);
        CHECK(limiter.available_tokens() == inf);
        for (int i = 0; i < 100; ++i) {
            limiter.release_on_behalf_of(i);
        }
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "sync::CapacityLimiter.increase_tokens "
    "sync::CapacityLimiter.increase_tokens_lets_others_acquire: raising the total lets "
    "those in who wait",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        Event leave;
        int inside = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const auto worker = [&]() -> Task<> {
                auto guard = co_await limiter.scoped();
                ++inside;
                co_await leave.wait();
            };
            group.start_soon(worker);
            group.start_soon(worker);
            co_await checkpoint();
            CHECK(inside == 1);
            limiter.set_total_tokens(2);
            co_await checkpoint();
            CHECK(inside == 2);
            limiter.set_total_tokens(3);
            group.start_soon(worker);
            co_await checkpoint();
            CHECK(inside == 3);
            leave.set();
        });
    });
}

TEST_CASE(
    "primitives::test_capacity_limiter_dynamic_adjustment: what is available follows "
    "the total, also below 0",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(2);
        co_await limiter.acquire();
        limiter.set_total_tokens(4);
        CHECK(limiter.available_tokens() == 3);
        CHECK(limiter.borrowed_tokens() == 1);
        Event leave;
        int inside = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    auto guard = co_await limiter.scoped();
                    ++inside;
                    co_await leave.wait();
                });
            }
            co_await checkpoint();
            CHECK(inside == 3);
            limiter.set_total_tokens(1);
            CHECK(limiter.available_tokens() == -3);
            leave.set();
        });
        CHECK(limiter.available_tokens() == 0);
        limiter.release();
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "trio.sync::CapacityLimiter_change_total_tokens: lowering it takes nothing back, "
    "and nobody enters before enough have left",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(2);
        std::vector<Event> leave(5);
        std::vector<int> entered;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (std::size_t i = 0; i < 5; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    auto guard = co_await limiter.scoped();
                    entered.push_back(static_cast<int>(i));
                    co_await leave[i].wait();
                });
            }
            co_await checkpoint();
            CHECK(entered == std::vector<int>{0, 1});
            limiter.set_total_tokens(4);
            co_await checkpoint();
            CHECK(entered == std::vector<int>{0, 1, 2, 3});
            limiter.set_total_tokens(1);
            CHECK(limiter.borrowed_tokens() == 4);
            for (const std::size_t i : {3U, 0U, 2U}) {
                leave[i].set();
                co_await checkpoint();
                co_await checkpoint();
                CHECK(entered.size() == 4);
            }
            leave[1].set();
            co_await checkpoint();
            co_await checkpoint();
            CHECK(entered.size() == 5);
            leave[4].set();
        });
    });
}

TEST_CASE(
    "trio.sync::CapacityLimiter_zero_limit_tokens: with 0 nobody gets in until it is "
    "raised",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(0);
        CHECK_THROWS_AS(limiter.acquire_nowait(), WouldBlock);
        CancelScope cancelled;
        Event leave;
        std::vector<int> entered;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const auto worker = [&](int number) -> Task<> {
                auto guard = co_await limiter.scoped();
                entered.push_back(number);
                co_await leave.wait();
            };
            group.start_soon(worker, 0);
            group.start_soon([&]() -> Task<> {
                co_await cancelled.run(limiter.acquire());
            });
            group.start_soon(worker, 1);
            group.start_soon(worker, 2);
            co_await checkpoint();
            CHECK(limiter.statistics().tasks_waiting == 4);
            cancelled.cancel();
            CHECK(limiter.statistics().tasks_waiting == 3);
            limiter.set_total_tokens(2);
            co_await checkpoint();
            CHECK(entered == std::vector<int>{0, 1});
            limiter.set_total_tokens(0);
            CHECK(limiter.borrowed_tokens() == 2);
            leave.set();
            for (int i = 0; i < 3; ++i) {
                co_await checkpoint();
            }
            CHECK(limiter.borrowed_tokens() == 0);
            CHECK(limiter.statistics().tasks_waiting == 1);
            CHECK(entered.size() == 2);
            limiter.set_total_tokens(1);
        });
        CHECK(entered == std::vector<int>{0, 1, 2});
    });
}

TEST_CASE(
    "sync::CapacityLimiter.instantiate_outside_event_loop: it may be made and set "
    "outside any loop",
    "[limiter]"
) {
    CapacityLimiter limiter(1);
    limiter.set_total_tokens(2);
    CHECK(limiter.total_tokens() == 2);
    CHECK_THROWS_AS(limiter.set_total_tokens(3.5), ValueError);
    CHECK(limiter.total_tokens() == 2);
    CHECK(limiter.borrowed_tokens() == 0);
    CHECK(limiter.available_tokens() == 2);
    const auto statistics = limiter.statistics();
    CHECK(statistics.total_tokens == 2);
    CHECK(statistics.borrowed_tokens == 0);
    CHECK(statistics.borrowers.empty());
    CHECK(statistics.tasks_waiting == 0);
    test::over_backends([&]() -> Task<> {
        auto guard = co_await limiter.scoped();
        CHECK(limiter.borrowed_tokens() == 1);
    });
}

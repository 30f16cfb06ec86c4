// SPDX-License-Identifier: BSL-1.0
// CapacityLimiter: tokens, and who has one.
#include "concurrency/capacity_limiter.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/throws.hpp"

#include <algorithm>
#include <vector>

using concurrency::Borrower;
using concurrency::cancel_shielded_checkpoint;
using concurrency::CancelScope;
using concurrency::CapacityLimiter;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::WouldBlock;

namespace {

bool has_borrower(const CapacityLimiter& limiter, Borrower borrower) {
    const auto borrowers = limiter.statistics().borrowers;
    return std::count(borrowers.begin(), borrowers.end(), borrower) == 1;
}

}  // namespace

TEST_CASE(
    "sync::CapacityLimiter.borrow "
    "primitives::test_capacity_limiter_is_async_context_manager "
    "primitives::test_capacity_limiter_remaining_tokens_property: a guard borrows a "
    "token",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(2);
        CHECK(limiter.total_tokens() == 2);
        CHECK(limiter.available_tokens() == 2);
        CHECK(limiter.borrowed_tokens() == 0);
        {
            auto guard = co_await limiter.scoped();
            CHECK(limiter.total_tokens() == 2);
            CHECK(limiter.available_tokens() == 1);
            CHECK(limiter.remaining_tokens() == 1);
            CHECK(limiter.borrowed_tokens() == 1);
            CHECK(has_borrower(limiter, concurrency::current_task()));
        }
        CHECK(limiter.borrowed_tokens() == 0);
        CHECK(limiter.remaining_tokens() == limiter.available_tokens());
    });
}

TEST_CASE(
    "sync::CapacityLimiter.limit primitives::test_capacity_limiter_one_token: with one "
    "token one task is inside",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        bool inside = false;
        int rounds = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    for (int k = 0; k < 5; ++k) {
                        auto guard = co_await limiter.scoped();
                        CHECK_FALSE(inside);
                        inside = true;
                        co_await checkpoint();
                        inside = false;
                        ++rounds;
                    }
                });
            }
            co_return;
        });
        CHECK(rounds == 15);
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "sync::CapacityLimiter.borrow_twice sync::CapacityLimiter.bad_release: a task has "
    "one token, or none to release",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(3);
        CHECK_THROWS_AS(limiter.release(), RuntimeError);
        co_await limiter.acquire();
        auto again = [&] {
            return limiter.acquire();
        };
        CHECK_AWAITED(test::throws<RuntimeError>(again), == true);
        auto scoped = [&] {
            return limiter.scoped();
        };
        CHECK_AWAITED(test::throws<RuntimeError>(scoped), == true);
        CHECK_THROWS_AS(limiter.acquire_nowait(), RuntimeError);
        CHECK(limiter.borrowed_tokens() == 1);
        limiter.release();
        CHECK_THROWS_AS(limiter.release(), RuntimeError);
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "primitives::test_capacity_limiter_acquire_on_behalf_of "
    "primitives::test_capacity_limiter_release_on_behalf_of: whoever it is for is "
    "counted",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(5);
        const int first = 0;
        const int second = 0;
        co_await limiter.acquire_on_behalf_of(&first);
        co_await limiter.acquire_on_behalf_of(&second);
        co_await limiter.acquire_on_behalf_of(17);
        CHECK(limiter.borrowed_tokens() == 3);
        auto again = [&] {
            return limiter.acquire_on_behalf_of(17);
        };
        CHECK_AWAITED(test::throws<RuntimeError>(again), == true);
        limiter.release_on_behalf_of(&first);
        CHECK_THROWS_AS(limiter.release_on_behalf_of(&first), RuntimeError);
        CHECK(limiter.borrowed_tokens() == 2);
        CHECK(has_borrower(limiter, &second));
        CHECK_FALSE(has_borrower(limiter, &first));
        limiter.release_on_behalf_of(&second);
        limiter.release_on_behalf_of(17);
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "sync::CapacityLimiter.statistics: tell of tokens, borrowers and waiters",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        const auto is = [&](std::size_t borrowed, std::size_t waiting) {
            const auto now = limiter.statistics();
            return now.total_tokens == 1 && now.borrowed_tokens == borrowed &&
                   now.borrowers.size() == borrowed && now.tasks_waiting == waiting;
        };
        CHECK(is(0, 0));
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto guard = co_await limiter.scoped();
            CHECK(is(1, 0));
            for (std::size_t i = 1; i <= 2; ++i) {
                group.start_soon([&]() -> Task<> {
                    auto token = co_await limiter.scoped();
                });
                co_await checkpoint();
                CHECK(is(1, i));
            }
        });
        CHECK(is(0, 0));
    });
}

TEST_CASE(
    "sync::CapacityLimiter.asyncio_deadlock: a holder that is cancelled gives its "
    "token "
    "to the next one",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        CancelScope first;
        bool acquired = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await first.run([&]() -> Task<> {
                    auto guard = co_await limiter.scoped();
                    co_await checkpoint();
                });
            });
            group.start_soon([&]() -> Task<> {
                auto guard = co_await limiter.scoped();
                acquired = true;
            });
            co_await checkpoint();
            first.cancel();
        });
        CHECK(first.cancelled_caught());
        CHECK(acquired);
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "sync::CapacityLimiter.ordered_queue: tasks get tokens in the order in which they "
    "asked",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        std::vector<int> order;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    auto guard = co_await limiter.scoped();
                    co_await checkpoint();
                    order.push_back(i);
                });
            }
            co_return;
        });
        CHECK(order == std::vector<int>{0, 1, 2});
    });
}

TEST_CASE(
    "sync::CapacityLimiter.acquire_cancelled: a waiter that is cancelled in the same "
    "step does not keep the token from the next one",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool notices : {false, true}) {
            CapacityLimiter limiter(1);
            CancelScope first;
            bool acquired = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                limiter.acquire_nowait();
                group.start_soon([&]() -> Task<> {
                    co_await first.run(limiter.acquire());
                });
                group.start_soon([&]() -> Task<> {
                    auto guard = co_await limiter.scoped();
                    acquired = true;
                });
                co_await checkpoint();
                CHECK(limiter.statistics().tasks_waiting == 2);
                first.cancel();
                if (notices) {
                    co_await cancel_shielded_checkpoint();
                }
                limiter.release();
            });
            CHECK(first.cancelled_caught());
            CHECK(acquired);
            CHECK(limiter.borrowed_tokens() == 0);
        }
    });
}

TEST_CASE(
    "CapacityLimiter: a waiter that is served and then cancelled has its token",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        CancelScope scope;
        bool got_it = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            limiter.acquire_nowait();
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    auto guard = co_await limiter.scoped();
                    got_it = true;
                    co_await checkpoint();
                });
            });
            co_await checkpoint();
            limiter.release();
            scope.cancel();
            CHECK(limiter.borrowed_tokens() == 1);
        });
        CHECK(got_it);
        CHECK(limiter.borrowed_tokens() == 0);
    });
}

TEST_CASE(
    "sync::CapacityLimiter.acquire_nowait: what acquire_nowait throws comes out of the "
    "group",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        limiter.acquire_nowait();
        auto in_group = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    limiter.acquire_nowait();
                    co_return;
                });
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(in_group), == "[all tokens are borrowed]");
        limiter.release();
    });
}

TEST_CASE(
    "sync::CapacityLimiter.acquire_on_behalf_of_nowait "
    "sync::CapacityLimiter.nowait_acquire_after_release_does_not_oversubscribe: a "
    "token "
    "that comes back is for the one who waits",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        limiter.acquire_on_behalf_of_nowait('a');
        CHECK_THROWS_AS(limiter.acquire_on_behalf_of_nowait('x'), WouldBlock);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await limiter.acquire_on_behalf_of('b');
            });
            co_await checkpoint();
            limiter.release_on_behalf_of('a');
            CHECK_THROWS_AS(limiter.acquire_on_behalf_of_nowait('x'), WouldBlock);
            CHECK(limiter.borrowed_tokens() == 1);
        });
        const auto borrowers = limiter.statistics().borrowers;
        REQUIRE(borrowers.size() == 1);
        CHECK(borrowers[0] == Borrower('b'));
        limiter.release_on_behalf_of('b');
    });
}

TEST_CASE(
    "CapacityLimiter: a borrower that waits cannot ask a second time, nor release",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        limiter.acquire_nowait();
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await limiter.acquire_on_behalf_of(1);
            });
            co_await checkpoint();
            CHECK_THROWS_AS(limiter.acquire_on_behalf_of_nowait(1), RuntimeError);
            CHECK_THROWS_AS(limiter.release_on_behalf_of(1), RuntimeError);
            CHECK(limiter.statistics().borrowers.size() == 1);
            limiter.release();
        });
        CHECK(has_borrower(limiter, 1));
        limiter.release_on_behalf_of(1);
    });
}

TEST_CASE(
    "trio.sync::CapacityLimiter: tasks and others borrow beside one another",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_THROWS_AS(CapacityLimiter(-1), concurrency::ValueError);
        CapacityLimiter limiter(2);
        CHECK_THROWS_AS(limiter.release(), RuntimeError);
        limiter.acquire_nowait();
        CHECK_THROWS_AS(limiter.acquire_nowait(), RuntimeError);
        CHECK(limiter.borrowed_tokens() == 1);
        limiter.acquire_on_behalf_of_nowait("someone");
        CHECK_THROWS_AS(limiter.acquire_on_behalf_of_nowait(3), WouldBlock);
        CHECK(limiter.statistics().borrowers.size() == 2);
        CHECK(has_borrower(limiter, concurrency::current_task()));
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await limiter.acquire_on_behalf_of(3);
            });
            co_await checkpoint();
            CHECK(limiter.statistics().tasks_waiting == 1);
            limiter.release();
            CHECK(limiter.borrowed_tokens() == 2);
            CHECK_THROWS_AS(limiter.acquire_nowait(), WouldBlock);
        });
        CHECK(has_borrower(limiter, 3));
    });
}

TEST_CASE(
    "trio.sync::CapacityLimiter_memleak_548: a cancelled waiter leaves nothing behind",
    "[limiter]"
) {
    test::over_backends([]() -> Task<> {
        CapacityLimiter limiter(1);
        limiter.acquire_nowait();
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await scope.run(limiter.acquire_on_behalf_of(1));
            });
            co_await checkpoint();
            scope.cancel();
        });
        CHECK(limiter.statistics().tasks_waiting == 0);
        CHECK(limiter.statistics().borrowers.size() == 1);
        limiter.release();
        limiter.acquire_on_behalf_of_nowait(1);
        limiter.release_on_behalf_of(1);
    });
}

// SPDX-License-Identifier: BSL-1.0
// Semaphore: so many at a time.
#include "concurrency/semaphore.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <vector>

using concurrency::cancel_shielded_checkpoint;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Semaphore;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::ValueError;
using concurrency::WouldBlock;

namespace {

/// How many of so many tasks are inside at once, at most.
Task<int> most_inside(Semaphore& semaphore, int tasks) {
    int inside = 0;
    int most = 0;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        for (int i = 0; i < tasks; ++i) {
            group.start_soon([&]() -> Task<> {
                auto guard = co_await semaphore.scoped();
                most = std::max(most, ++inside);
                for (int k = 0; k < 3; ++k) {
                    co_await checkpoint();
                }
                --inside;
            });
        }
        co_return;
    });
    co_return most;
}

}  // namespace

TEST_CASE(
    "sync::Semaphore.contextmanager sync::Semaphore.manual_acquire: a permit is taken "
    "and returned",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(2);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 2; ++i) {
                group.start_soon([&]() -> Task<> {
                    auto guard = co_await semaphore.scoped();
                    CHECK((semaphore.value() == 0 || semaphore.value() == 1));
                });
                group.start_soon([&]() -> Task<> {
                    co_await semaphore.acquire();
                    CHECK((semaphore.value() == 0 || semaphore.value() == 1));
                    co_await checkpoint();
                    semaphore.release();
                });
            }
            co_return;
        });
        CHECK(semaphore.value() == 2);
    });
}

TEST_CASE(
    "primitives::test_semaphore_limits_exactly "
    "primitives::test_semaphore_strict_limit: "
    "as many as there are permits get in, and no more",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore two(2);
        CHECK_AWAITED(most_inside(two, 6), == 2);
        Semaphore three(3);
        CHECK_AWAITED(most_inside(three, 10), == 3);
        CHECK(three.value() == 3);
    });
}

TEST_CASE(
    "primitives::test_semaphore_negative_initial_value trio.sync::Semaphore_bounded "
    "sync::Semaphore.max_value sync::Semaphore.max_value_exceeded: there are never "
    "less "
    "than none, nor more than the maximum",
    "[semaphore]"
) {
    CHECK_THROWS_AS(Semaphore(-1), ValueError);
    CHECK_THROWS_WITH(Semaphore(-1), "initial_value must be >= 0");
    CHECK_THROWS_AS(Semaphore(2, 1), ValueError);
    CHECK_FALSE(Semaphore(2).max_value().has_value());
    CHECK(Semaphore(2, 2).max_value() == 2);
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(1, 2);
        semaphore.release();
        CHECK(semaphore.value() == 2);
        CHECK_THROWS_AS(semaphore.release(), ValueError);
        CHECK(semaphore.value() == 2);
        co_return;
    });
}

TEST_CASE(
    "sync::Semaphore.fast_acquire: a free permit is taken without letting others run, "
    "but for one time in some hundreds",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(1);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            bool run = false;
            group.start_soon([&]() -> Task<> {
                run = true;
                co_return;
            });
            co_await semaphore.acquire();
            CHECK_FALSE(run);
            semaphore.release();
            for (int i = 0; i < 256; ++i) {
                auto permit = co_await semaphore.scoped();
            }
            CHECK(run);
        });
    });
}

TEST_CASE(
    "sync::Semaphore.acquire_nowait sync::Semaphore.statistics: takes a permit or "
    "throws; statistics tell how many wait",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(1);
        CHECK(semaphore.statistics().tasks_waiting == 0);
        semaphore.acquire_nowait();
        CHECK(semaphore.value() == 0);
        CHECK_THROWS_AS(semaphore.acquire_nowait(), WouldBlock);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (std::size_t i = 0; i < 2; ++i) {
                CHECK(semaphore.statistics().tasks_waiting == i);
                group.start_soon([&]() -> Task<> {
                    auto permit = co_await semaphore.scoped();
                });
                co_await checkpoint();
            }
            CHECK(semaphore.statistics().tasks_waiting == 2);
            semaphore.release();
        });
        CHECK(semaphore.statistics().tasks_waiting == 0);
        CHECK(semaphore.value() == 1);
    });
}

TEST_CASE(
    "sync::Semaphore.cancel_during_acquire sync::Semaphore.cancelled_after_acquire: a "
    "cancelled waiter takes no permit with it",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        for (const bool notices : {false, true}) {
            Semaphore semaphore(1);
            semaphore.acquire_nowait();
            bool acquired = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await semaphore.acquire();
                    acquired = true;
                });
                co_await checkpoint();
                group.cancel();
                if (notices) {
                    co_await cancel_shielded_checkpoint();
                }
                CHECK(semaphore.statistics().tasks_waiting == 0);
                semaphore.release();
            });
            CHECK_FALSE(acquired);
            CHECK(semaphore.value() == 1);
            co_await semaphore.acquire();
            semaphore.release();
        }
    });
}

TEST_CASE(
    "sync::Semaphore.acquire_race trio.sync::Semaphore: a permit goes straight to the "
    "one who waits",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(1);
        semaphore.release();
        CHECK(semaphore.value() == 2);
        semaphore.acquire_nowait();
        semaphore.acquire_nowait();
        bool acquired = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await semaphore.acquire();
                acquired = true;
            });
            co_await checkpoint();
            semaphore.release();
            CHECK_FALSE(acquired);
            CHECK(semaphore.value() == 0);
            CHECK_THROWS_AS(semaphore.acquire_nowait(), WouldBlock);
        });
        CHECK(acquired);
        CHECK(semaphore.value() == 0);
    });
}

TEST_CASE(
    "sync::Semaphore.asyncio_deadlock: a holder that is cancelled frees it for the "
    "next "
    "one",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(1);
        CancelScope first;
        bool acquired = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await first.run([&]() -> Task<> {
                    auto guard = co_await semaphore.scoped();
                    co_await checkpoint();
                });
            });
            group.start_soon([&]() -> Task<> {
                auto guard = co_await semaphore.scoped();
                acquired = true;
            });
            co_await checkpoint();
            first.cancel();
        });
        CHECK(first.cancelled_caught());
        CHECK(acquired);
        CHECK(semaphore.value() == 1);
    });
}

TEST_CASE(
    "sync::Semaphore.cancel_after_release: who is given a permit and then cancelled "
    "has "
    "it",
    "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(1);
        semaphore.acquire_nowait();
        CancelScope scope;
        bool got_it = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    auto guard = co_await semaphore.scoped();
                    got_it = true;
                    co_await checkpoint();
                });
            });
            co_await checkpoint();
            semaphore.release();
            scope.cancel();
            CHECK(semaphore.value() == 0);
        });
        CHECK(got_it);
        CHECK(semaphore.value() == 1);
        CHECK(semaphore.statistics().tasks_waiting == 0);
        semaphore.acquire_nowait();
    });
}

TEST_CASE(
    "Semaphore: tasks get permits in the order in which they asked", "[semaphore]"
) {
    test::over_backends([]() -> Task<> {
        Semaphore semaphore(0);
        std::vector<int> order;
        CancelScope third;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 6; ++i) {
                group.start_soon([&, i]() -> Task<> {
                    CancelScope own;
                    CancelScope& scope = i == 2 ? third : own;
                    co_await scope.run([&]() -> Task<> {
                        co_await semaphore.acquire();
                        order.push_back(i);
                    });
                });
            }
            co_await checkpoint();
            third.cancel();
            for (int i = 0; i < 5; ++i) {
                semaphore.release();
            }
        });
        CHECK(order == std::vector<int>{0, 1, 3, 4, 5});
        CHECK(semaphore.value() == 0);
    });
}

TEST_CASE(
    "sync::Semaphore.instantiate_outside_event_loop: it may be made and released "
    "outside any loop",
    "[semaphore]"
) {
    Semaphore semaphore(1, 2);
    CHECK(semaphore.value() == 1);
    CHECK(semaphore.max_value() == 2);
    CHECK(semaphore.statistics().tasks_waiting == 0);
    semaphore.release();
    test::over_backends([&]() -> Task<> {
        CHECK_AWAITED(most_inside(semaphore, 4), == 2);
    });
}

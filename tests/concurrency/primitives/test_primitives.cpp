// SPDX-License-Identifier: BSL-1.0
// What all primitives have in common, and all of them together at random.
#include "concurrency/primitives.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <random>
#include <vector>

using concurrency::CancelScope;
using concurrency::CapacityLimiter;
using concurrency::checkpoint;
using concurrency::Condition;
using concurrency::create_task_group;
using concurrency::Event;
using concurrency::Lock;
using concurrency::Semaphore;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

template <class Use>
Task<> with_each_lock(Use use) {
    Lock lock;
    co_await use(lock);
    Semaphore semaphore(1);
    co_await use(semaphore);
    CapacityLimiter limiter(1);
    co_await use(limiter);
}

template <class AnyLock>
Task<> exclude_one_another(AnyLock& lock) {
    bool inside = false;
    int rounds = 0;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        for (int i = 0; i < 5; ++i) {
            group.start_soon([&]() -> Task<> {
                for (int k = 0; k < 10; ++k) {
                    co_await lock.acquire();
                    CHECK_FALSE(inside);
                    inside = true;
                    co_await checkpoint();
                    inside = false;
                    lock.release();
                    ++rounds;
                }
            });
        }
        co_return;
    });
    CHECK(rounds == 50);
}

template <class AnyLock>
Task<> take_turns(AnyLock& lock) {
    std::vector<int> order;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        for (int i = 0; i < 3; ++i) {
            group.start_soon([&, i]() -> Task<> {
                for (int k = 0; k < 10; ++k) {
                    co_await lock.acquire();
                    order.push_back(i);
                    co_await checkpoint();
                    lock.release();
                }
            });
        }
        co_return;
    });
    for (std::size_t i = 0; i < order.size(); ++i) {
        CHECK(order[i] == order[i % 3]);
    }
}

template <class AnyLock>
Task<> block_by_nowait(AnyLock& lock) {
    bool acquired = false;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        lock.acquire_nowait();
        group.start_soon([&]() -> Task<> {
            co_await lock.acquire();
            acquired = true;
            lock.release();
        });
        co_await checkpoint();
        co_await checkpoint();
        CHECK_FALSE(acquired);
        lock.release();
    });
    CHECK(acquired);
}

struct Many {
    Lock lock;
    Semaphore semaphore{2};
    CapacityLimiter limiter{2};
    Condition condition;
    int inside = 0;
    int permits = 0;
    int tokens = 0;
};

/// Does something with one of them; cancelled or not, it leaves it as it was.
Task<> use_one(Many& many, std::mt19937& random) {
    const auto pauses = random() % 3;
    switch (random() % 4) {
    case 0: {
        auto guard = co_await many.lock.scoped();
        CHECK(++many.inside == 1);
        --many.inside;
        for (unsigned i = 0; i < pauses; ++i) {
            co_await checkpoint();
        }
        break;
    }
    case 1: {
        auto guard = co_await many.semaphore.scoped();
        CHECK(++many.permits <= 2);
        co_await concurrency::cancel_shielded_checkpoint();
        --many.permits;
        break;
    }
    case 2: {
        auto guard = co_await many.limiter.scoped();
        CHECK(++many.tokens <= 4);
        co_await concurrency::cancel_shielded_checkpoint();
        --many.tokens;
        many.limiter.set_total_tokens(static_cast<double>(1 + random() % 4));
        break;
    }
    default: {
        auto guard = co_await many.condition.scoped();
        if (random() % 2 == 0) {
            many.condition.notify(1 + random() % 3);
        } else {
            co_await many.condition.wait();
        }
        break;
    }
    }
}

Task<> use_all(Many& many, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<CancelScope> scopes(64);
    std::size_t running = 0;
    Event ended;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        for (CancelScope& scope : scopes) {
            ++running;
            group.start_soon([&]() -> Task<> {
                co_await scope.run([&]() -> Task<> {
                    for (int i = 0; i < 20; ++i) {
                        co_await use_one(many, random);
                    }
                });
                if (--running == 0) {
                    ended.set();
                }
            });
        }
        // Those that are still in the condition at the end are cancelled one by one.
        while (!ended.is_set()) {
            for (unsigned i = random() % 8; i > 0; --i) {
                co_await checkpoint();
            }
            scopes[random() % scopes.size()].cancel();
        }
    });
    CHECK_FALSE(many.lock.locked());
    CHECK(many.lock.statistics().tasks_waiting == 0);
    CHECK(many.semaphore.value() == 2);
    CHECK(many.limiter.borrowed_tokens() == 0);
    CHECK(many.limiter.statistics().tasks_waiting == 0);
    CHECK_FALSE(many.condition.locked());
    CHECK(many.condition.statistics().tasks_waiting == 0);
}

}  // namespace

TEST_CASE(
    "trio.sync::generic_lock_exclusion: never two inside, with any of them",
    "[primitives]"
) {
    test::over_backends([]() -> Task<> {
        const auto use = [](auto& lock) {
            return exclude_one_another(lock);
        };
        co_await with_each_lock(use);
    });
}

TEST_CASE(
    "trio.sync::generic_lock_fifo_fairness: tasks that loop take turns", "[primitives]"
) {
    test::over_backends([]() -> Task<> {
        const auto use = [](auto& lock) {
            return take_turns(lock);
        };
        co_await with_each_lock(use);
    });
}

TEST_CASE(
    "trio.sync::generic_lock_acquire_nowait_blocks_acquire: taken without waiting, it "
    "makes others wait",
    "[primitives]"
) {
    test::over_backends([]() -> Task<> {
        const auto use = [](auto& lock) {
            return block_by_nowait(lock);
        };
        co_await with_each_lock(use);
    });
}

TEST_CASE("primitives: nothing is lost, whatever is cancelled when", "[primitives]") {
    for (unsigned seed = 0; seed < 20; ++seed) {
        INFO("seed " << seed);
        Many many;
        test::over_backends([&]() -> Task<> {
            many.limiter.set_total_tokens(2);
            return use_all(many, seed);
        });
    }
}

TEST_CASE(
    "primitives: a task that never has to wait is ended by its time limit all the same",
    "[primitives]"
) {
    test::over_backends([]() -> Task<> {
        Lock lock;
        Semaphore semaphore(1);
        CapacityLimiter limiter(1);
        const bool completed =
            co_await concurrency::move_on_after(0.001, [&]() -> Task<> {
                for (;;) {
                    auto guard = co_await lock.scoped();
                    auto permit = co_await semaphore.scoped();
                    co_await limiter.acquire();
                    limiter.release();
                }
            });
        CHECK_FALSE(completed);
        CHECK_FALSE(lock.locked());
    });
}

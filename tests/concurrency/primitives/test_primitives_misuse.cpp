// SPDX-License-Identifier: BSL-1.0
// Primitives outside a loop, in two loops, destroyed too early, and after a loop that
// was given up.
#include "concurrency/primitives.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/throws.hpp"

#include <boost/asio/post.hpp>

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <string>

namespace asio = boost::asio;
using concurrency::CapacityLimiter;
using concurrency::checkpoint;
using concurrency::Condition;
using concurrency::create_task_group;
using concurrency::Event;
using concurrency::Lock;
using concurrency::RuntimeError;
using concurrency::Semaphore;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

const std::string gone = "what the task waited for was destroyed";

/// What comes out of a task of the group that waits, when `destroy` has been called.
template <class Wait, class Destroy>
Task<std::string> thrown_when_destroyed(Wait wait, Destroy destroy) {
    std::string thrown;
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        group.start_soon([&]() -> Task<> { thrown = co_await test::thrown_by(wait); });
        co_await checkpoint();
        destroy();
    });
    co_return thrown;
}

/// In a loop of its own, while the caller's stands still: what `body()` throws.
template <class Body>
std::string thrown_in_another_loop(Body body) {
    return concurrency::run_async([&]() -> Task<std::string> {
        co_return co_await test::thrown_by(body);
    });
}

}  // namespace

TEST_CASE("primitives: outside a loop nothing can be acquired", "[primitives]") {
    Lock lock;
    Semaphore semaphore(1);
    CapacityLimiter limiter(1);
    Condition condition;
    CHECK_THROWS_AS(lock.acquire_nowait(), RuntimeError);
    CHECK_THROWS_AS(lock.release(), RuntimeError);
    CHECK_THROWS_AS(semaphore.acquire_nowait(), RuntimeError);
    CHECK_THROWS_AS(limiter.acquire_nowait(), RuntimeError);
    CHECK_THROWS_AS(limiter.acquire_on_behalf_of_nowait(1), RuntimeError);
    CHECK_THROWS_AS(limiter.release(), RuntimeError);
    CHECK_THROWS_AS(limiter.release_on_behalf_of(1), RuntimeError);
    CHECK_THROWS_AS(condition.acquire_nowait(), RuntimeError);
    CHECK_THROWS_AS(condition.release(), RuntimeError);
    CHECK_THROWS_AS(condition.notify(), RuntimeError);
    CHECK(semaphore.value() == 1);
    CHECK(limiter.borrowed_tokens() == 0);
}

TEST_CASE(
    "primitives: what is in use in one loop is refused in another", "[primitives]"
) {
    test::over_backends([]() -> Task<> {
        const std::string other = "a task of another loop has this, or waits for it: "
                                  "tasks of different loops cannot share it";
        Lock lock;
        Semaphore semaphore(0);
        CapacityLimiter limiter(0);
        Event event;
        Condition condition;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await semaphore.acquire(); });
            group.start_soon([&]() -> Task<> { co_await limiter.acquire(); });
            group.start_soon([&]() -> Task<> { co_await event.wait(); });
            group.start_soon([&]() -> Task<> {
                co_await condition.acquire();
                co_await condition.wait();
            });
            co_await checkpoint();
            co_await lock.acquire();

            CHECK(thrown_in_another_loop([&] { return lock.acquire(); }) == other);
            CHECK(thrown_in_another_loop([&]() -> Task<> {
                      auto guard = co_await lock.scoped();
                  }) == other);
            CHECK(thrown_in_another_loop([&] { return semaphore.acquire(); }) == other);
            CHECK(thrown_in_another_loop([&] { return limiter.acquire(); }) == other);
            CHECK(thrown_in_another_loop([&] { return event.wait(); }) == other);
            CHECK(thrown_in_another_loop([&]() -> Task<> {
                      event.set();
                      co_return;
                  }) == other);
            CHECK(thrown_in_another_loop([&]() -> Task<> {
                      semaphore.release();
                      co_return;
                  }) == other);
            CHECK(thrown_in_another_loop([&]() -> Task<> {
                      limiter.set_total_tokens(5);
                      co_return;
                  }) == other);
            CHECK(thrown_in_another_loop([&]() -> Task<> {
                      auto guard = co_await condition.scoped();
                      co_await condition.wait();
                  }) == other);
            CHECK(thrown_in_another_loop([&]() -> Task<> {
                      auto guard = co_await condition.scoped();
                      condition.notify();
                  }) == other);
            CHECK(limiter.total_tokens() == 0);
            CHECK_FALSE(event.is_set());
            CHECK_FALSE(condition.locked());
            CHECK(condition.statistics().tasks_waiting == 1);
            CHECK(lock.locked());
            lock.release();
            group.cancel();
        });
    });
}

TEST_CASE("primitives: destroyed while tasks wait, they tell them", "[primitives]") {
    test::over_backends([]() -> Task<> {
        std::optional<Event> event(std::in_place);
        CHECK_AWAITED(
            thrown_when_destroyed(
                [&] { return event->wait(); }, [&] { event.reset(); }
            ),
            == gone
        );
        std::optional<Lock> lock(std::in_place);
        lock->acquire_nowait();
        CHECK_AWAITED(
            thrown_when_destroyed(
                [&]() -> Task<> { auto guard = co_await lock->scoped(); },
                [&] { lock.reset(); }
            ),
            == gone
        );
        std::optional<Semaphore> semaphore(0);
        CHECK_AWAITED(
            thrown_when_destroyed(
                [&] { return semaphore->acquire(); }, [&] { semaphore.reset(); }
            ),
            == gone
        );
        std::optional<CapacityLimiter> limiter(0);
        CHECK_AWAITED(
            thrown_when_destroyed(
                [&] { return limiter->acquire(); }, [&] { limiter.reset(); }
            ),
            == gone
        );
        std::optional<Condition> condition(std::in_place);
        CHECK_AWAITED(
            thrown_when_destroyed(
                [&]() -> Task<> {
                    co_await condition->acquire();
                    co_await condition->wait();
                },
                [&] { condition.reset(); }
            ),
            == gone
        );
    });
}

TEST_CASE(
    "primitives: a loop that is given up leaves them as if its tasks had never asked",
    "[primitives]"
) {
    Lock lock;
    Lock by_hand;
    Semaphore semaphore(1);
    CapacityLimiter limiter(1);
    Condition condition;
    Event event;
    asio::io_context context;
    std::optional<Lock::Guard> has_lock;
    std::optional<Semaphore::Guard> has_permit;
    std::optional<CapacityLimiter::Guard> has_token;
    std::optional<Condition::Guard> has_condition;
    const auto give_up = [&] {
        // They are served, and do not run any more.
        has_lock.reset();
        has_permit.reset();
        has_token.reset();
        has_condition.reset();
        event.set();
        CHECK(lock.locked());
        CHECK(semaphore.value() == 0);
        CHECK(limiter.borrowed_tokens() == 1);
        CHECK(condition.locked());
        context.stop();
    };
    const auto body = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            has_lock = co_await lock.scoped();
            has_permit = co_await semaphore.scoped();
            has_token = co_await limiter.scoped();
            co_await by_hand.acquire();
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    auto guard = co_await condition.scoped();
                    co_await condition.wait();
                });
                group.start_soon([&]() -> Task<> { co_await lock.acquire(); });
                group.start_soon([&]() -> Task<> {
                    auto guard = co_await lock.scoped();
                });
                group.start_soon([&]() -> Task<> { co_await semaphore.acquire(); });
                group.start_soon([&]() -> Task<> { co_await limiter.acquire(); });
                group.start_soon([&]() -> Task<> { co_await by_hand.acquire(); });
                group.start_soon([&]() -> Task<> { co_await event.wait(); });
            }
            co_await checkpoint();
            has_condition = co_await condition.scoped();
            condition.notify(2);
            asio::post(context, give_up);
            co_await concurrency::sleep_forever();
        });
    };
    CHECK_THROWS_AS(concurrency::run(body, context), RuntimeError);
    CHECK_FALSE(lock.locked());
    CHECK_FALSE(condition.locked());
    CHECK(semaphore.value() == 1);
    CHECK(limiter.borrowed_tokens() == 0);
    CHECK(limiter.statistics().borrowers.empty());
    CHECK(lock.statistics().tasks_waiting == 0);
    CHECK(by_hand.statistics().tasks_waiting == 0);
    CHECK(semaphore.statistics().tasks_waiting == 0);
    CHECK(limiter.statistics().tasks_waiting == 0);
    CHECK(condition.statistics().tasks_waiting == 0);
    CHECK(condition.statistics().lock_statistics.tasks_waiting == 0);
    CHECK(event.statistics().tasks_waiting == 0);
    auto again = [&]() -> Task<> {
        auto guard = co_await lock.scoped();
        auto permit = co_await semaphore.scoped();
        auto token = co_await limiter.scoped();
        CHECK_THROWS_AS(by_hand.acquire_nowait(), concurrency::BrokenResourceError);
    };
    concurrency::run(again);
}

TEST_CASE(
    "Guard: destroyed in another loop while tasks wait, it ends the program",
    "[primitives][no-tsan]"  // which has no threads after a fork
) {
    const int status = test::run_in_fork([] {
        ::close(STDERR_FILENO);  // where it would say so
        concurrency::run([]() -> Task<> {
            Semaphore semaphore(1);
            std::optional<Semaphore::Guard> guard = co_await semaphore.scoped();
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> { co_await semaphore.acquire(); });
                co_await checkpoint();
                concurrency::run_async([&]() -> Task<> {
                    guard.reset();
                    co_return;
                });
            });
        });
        return 0;
    });
    CHECK(status == -SIGABRT);
}

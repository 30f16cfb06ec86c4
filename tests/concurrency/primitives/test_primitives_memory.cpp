// SPDX-License-Identifier: BSL-1.0
// Memory: what nobody waits for costs none, and where there is none nothing is lost.
#include "concurrency/primitives.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::size_t allocations = 0;
bool refuse_memory = false;

void* allocate(std::size_t size) {
    if (!refuse_memory) {
        ++allocations;
        if (void* memory = std::malloc(size)) {
            return memory;
        }
    }
    throw std::bad_alloc();
}

}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) {
    return allocate(size);
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return std::malloc(size);
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

// NOLINTEND(misc-new-delete-overloads)

using concurrency::CapacityLimiter;
using concurrency::checkpoint;
using concurrency::Condition;
using concurrency::create_task_group;
using concurrency::Event;
using concurrency::Lock;
using concurrency::Semaphore;
using concurrency::Task;
using concurrency::TaskGroup;

TEST_CASE("primitives: what is free is taken without allocating", "[primitives]") {
    const auto body = []() -> Task<> {
        Lock lock;
        Semaphore semaphore(1);
        CapacityLimiter limiter(1);
        Condition condition;
        Event event;
        event.set();
        std::size_t before = 0;
        for (int i = 0; i < 1000; ++i) {
            if (i == 1) {  // the frames of the first round are used again
                before = allocations;
            }
            {
                auto guard = co_await lock.scoped();
                auto permit = co_await semaphore.scoped();
                auto token = co_await limiter.scoped();
                auto of_condition = co_await condition.scoped();
                condition.notify_all();
            }
            co_await lock.acquire();
            lock.release();
            co_await limiter.acquire_on_behalf_of(i);
            limiter.release_on_behalf_of(i);
            co_await event.wait();
        }
        CHECK(allocations == before);
    };
    concurrency::run(body);
}

TEST_CASE("primitives: waiting does not allocate either", "[primitives]") {
    const auto body = []() -> Task<> {
        Lock lock;
        CapacityLimiter limiter(1);
        Condition condition;
        std::size_t before = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int task = 0; task < 3; ++task) {
                group.start_soon([&, task]() -> Task<> {
                    for (int i = 0; i < 100; ++i) {
                        if (task == 0 && i == 10) {
                            before = allocations;
                        }
                        auto guard = co_await lock.scoped();
                        co_await checkpoint();
                        guard.release();
                        auto token = co_await limiter.scoped();
                        co_await checkpoint();
                        token.release();
                        auto of_condition = co_await condition.scoped();
                        condition.notify_all();
                        if (task != 0) {
                            co_await condition.wait_for([] { return true; });
                        }
                    }
                    if (task == 0) {
                        CHECK(allocations == before);
                    }
                });
            }
            co_return;
        });
    };
    concurrency::run(body);
}

TEST_CASE(
    "CapacityLimiter: where there is no memory for a borrower, nobody has borrowed",
    "[primitives]"
) {
    const auto body = []() -> Task<> {
        CapacityLimiter limiter(100);
        int borrowers = 0;
        bool refused = false;
        while (!refused) {
            refuse_memory = true;
            try {
                limiter.acquire_on_behalf_of_nowait(borrowers);
                ++borrowers;
            } catch (const std::bad_alloc&) {
                refused = true;
            }
            refuse_memory = false;
        }
        CHECK(borrowers > 0);
        CHECK(limiter.borrowed_tokens() == borrowers);
        limiter.set_total_tokens(borrowers);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            bool thrown = false;
            group.start_soon([&]() -> Task<> {
                refuse_memory = true;
                try {
                    co_await limiter.acquire_on_behalf_of(-1);
                } catch (const std::bad_alloc&) {
                    thrown = true;
                }
                refuse_memory = false;
            });
            co_await checkpoint();
            refuse_memory = false;
            CHECK(thrown);
            CHECK(limiter.statistics().tasks_waiting == 0);
        });
        for (int i = 0; i < borrowers; ++i) {
            limiter.release_on_behalf_of(i);
        }
        CHECK(limiter.borrowed_tokens() == 0);
    };
    concurrency::run(body);
}

// SPDX-License-Identifier: BSL-1.0
// ResourceGuard: one task at a time, or an error.
#include "concurrency/resource_guard.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <utility>

using concurrency::BusyResourceError;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::ResourceGuard;
using concurrency::Task;
using concurrency::TaskGroup;

TEST_CASE("ResourceGuard: refuses a second task", "[resource_guard]") {
    test::over_backends([]() -> Task<> {
        ResourceGuard guard("reading from");
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            auto use = guard.scoped();
            CHECK(guard.busy());
            group.start_soon([&]() -> Task<> {
                CHECK_THROWS_AS(guard.scoped(), BusyResourceError);
                CHECK_THROWS_WITH(
                    guard.scoped(), "another task is already reading from this resource"
                );
                co_return;
            });
            co_await checkpoint();
        });
        CHECK_FALSE(guard.busy());
    });
}

TEST_CASE("ResourceGuard: works outside a loop, too", "[resource_guard]") {
    ResourceGuard guard;
    {
        auto use = guard.scoped();
        CHECK_THROWS_WITH(
            guard.scoped(), "another task is already using this resource"
        );
        auto moved = std::move(use);
        CHECK(guard.busy());
        moved.release();
        CHECK_FALSE(guard.busy());
        auto again = guard.scoped();
    }
    CHECK_FALSE(guard.busy());
}

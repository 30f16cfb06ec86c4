// SPDX-License-Identifier: BSL-1.0
// The one header for tasks: it brings Task and TaskGroup.
#include "concurrency/task.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;

TEST_CASE("task: one header brings coroutines and groups of them", "[task]") {
    test::over_backends([]() -> Task<> {
        int sum = 0;
        co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> concurrency::task<> {
                sum += 1;
                co_return;
            });
            const auto ready = [](TaskStatus<int>& status) -> Task<> {
                status.started(2);
                co_return;
            };
            const int value = co_await group.start<int>(ready);
            sum += value;
        });
        CHECK(sum == 3);
    });
}

// SPDX-License-Identifier: BSL-1.0
// current_task: which task this is.
#include "concurrency/current_task.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <unistd.h>

#include <cstdint>
#include <thread>

using concurrency::Task;

TEST_CASE(
    "current_task: the main task has a name, an id and no parent", "[current_task]"
) {
    std::uint64_t last = 0;
    test::each_backend([&](concurrency::Backend backend) {
        const auto info = concurrency::run(
            []() -> Task<concurrency::TaskInfo> {
                co_await concurrency::checkpoint();
                co_return concurrency::current_task();
            },
            backend
        );
        CHECK(info.name() == "main");
        CHECK(info.id() != last);  // of another loop
        CHECK_FALSE(info.parent_id());
        last = info.id();
    });
}

TEST_CASE(
    "trio.run::trio_context_detection to_thread::asynclib_detection: there is none "
    "outside a loop",
    "[current_task]"
) {
    CHECK_THROWS_AS(concurrency::current_task(), concurrency::RuntimeError);
    concurrency::run([]() -> Task<> {
        concurrency::current_task();
        bool refused = false;
        std::thread([&] {
            try {
                concurrency::current_task();
            } catch (const concurrency::RuntimeError&) {
                refused = true;
            }
        }).join();
        CHECK(refused);
        co_return;
    });
    CHECK_THROWS_AS(concurrency::current_task(), concurrency::RuntimeError);
}

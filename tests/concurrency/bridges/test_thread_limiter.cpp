// SPDX-License-Identifier: BSL-1.0
// run_sync: how many threads run at a time, by the loop's limiter or another.
#include "futures/future.hpp"

#include "concurrency/capacity_limiter.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/to_thread.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <atomic>
#include <cstddef>
#include <functional>

using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::OnCancel;
using concurrency::run_sync;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;

namespace {

concurrency::CapacityLimiter& tokens() {
    return concurrency::to_thread::current_default_thread_limiter();
}

}  // namespace

TEST_CASE(
    "to_thread::run_in_custom_limiter: a limiter of the caller's holds calls back, and "
    "has its tokens back",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        constexpr int calls = 4;
        constexpr int most = 3;
        concurrency::CapacityLimiter limiter(most);
        std::atomic<int> running{0};
        std::atomic<int> highest{0};
        Future<void> let_go;
        const auto call = [&] {
            const int now = ++running;
            int before = highest;
            while (now > before && !highest.compare_exchange_weak(before, now)) {
            }
            let_go.result();
            --running;
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i != calls; ++i) {
                group.start_soon([&]() -> Task<> {
                    concurrency::ThreadOptions options;
                    options.limiter = &limiter;
                    co_await run_sync(options, std::ref(call));
                });
            }
            while (running != most || limiter.statistics().tasks_waiting != 1) {
                co_await checkpoint();
            }
            CHECK(limiter.borrowed_tokens() == most);
            CHECK(tokens().borrowed_tokens() == 0);
            let_go.set_result();
        });
        while (limiter.borrowed_tokens() != 0) {
            co_await checkpoint();
        }
        CHECK(highest == most);
        CHECK(running == 0);
    });
}

TEST_CASE(
    "sync::CapacityLimiter.current_default_thread_limiter "
    "trio.threads::run_in_worker_thread_limiter: no more threads run than there are "
    "tokens, which abandoned calls keep",
    "[to_thread]"
) {
    test::over_backends([]() -> Task<> {
        CHECK(tokens().total_tokens() == 40);
        for (const std::size_t most : {3U, 5U, 10U}) {
            for (const auto mode : {OnCancel::wait, OnCancel::abandon}) {
                tokens().set_total_tokens(static_cast<double>(most));
                std::atomic<std::size_t> running{0};
                std::atomic<std::size_t> highest{0};
                std::atomic<std::size_t> called{0};
                Future<void> let_go;
                const auto call = [&] {
                    const std::size_t now = ++running;
                    std::size_t before = highest;
                    while (now > before && !highest.compare_exchange_weak(before, now)
                    ) {
                    }
                    ++called;
                    let_go.result();
                    --running;
                };
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    co_await create_task_group([&](TaskGroup& first) -> Task<> {
                        for (std::size_t i = 0; i < most; ++i) {
                            first.start_soon([&]() -> Task<> {
                                co_await run_sync({.on_cancel = mode}, std::ref(call));
                            });
                        }
                        while (called != most) {
                            co_await checkpoint();
                        }
                        for (std::size_t i = 0; i < most; ++i) {
                            group.start_soon([&]() -> Task<> {
                                co_await run_sync(std::ref(call));
                            });
                        }
                        while (tokens().statistics().tasks_waiting != most) {
                            co_await checkpoint();
                        }
                        first.cancel();
                        if (mode == OnCancel::wait) {
                            let_go.set_result();
                        }
                    });
                    if (mode == OnCancel::abandon) {
                        CHECK(tokens().borrowed_tokens() == static_cast<double>(most));
                        CHECK(called == most);
                        let_go.set_result();
                    }
                });
                while (tokens().borrowed_tokens() != 0) {
                    co_await checkpoint();
                }
                CHECK(called == 2 * most);
                CHECK(highest == most);
            }
        }
    });
}

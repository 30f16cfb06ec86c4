// SPDX-License-Identifier: BSL-1.0
// The small names: current_time, sleep, is_coro_func.
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/utils.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <string>

using concurrency::create_task_group;
using concurrency::current_time;
using concurrency::sleep;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

double steady_seconds() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
}

}  // namespace

TEST_CASE(
    "utils::TestCurrentTime.test_consistency_with_anyio "
    "wrapper_functions::test_wrappers_preserve_anyio_semantics: the clock is the "
    "system's monotonic one, and a sleep is as long by it",
    "[utils]"
) {
    test::over_backends([]() -> Task<> {
        const double before = steady_seconds();
        const double time = current_time();
        CHECK(before <= time);
        CHECK(time <= steady_seconds());
        co_await sleep(0.002);
        CHECK(steady_seconds() - time >= 0.002);
        CHECK(current_time() - time >= 0.002);
    });
}

TEST_CASE(
    "utils::TestSleep.test_sleep_doesnt_block_other_tasks: a shorter sleep ends before "
    "a "
    "longer one that began earlier",
    "[utils]"
) {
    test::over_backends([]() -> Task<> {
        bool long_has_ended = false;
        bool short_has_ended = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await sleep(3600);
                long_has_ended = true;
            });
            group.start_soon([&]() -> Task<> {
                co_await sleep(0.001);
                short_has_ended = true;
                group.cancel();
            });
            co_return;
        });
        CHECK(short_has_ended);
        CHECK_FALSE(long_has_ended);
    });
}

TEST_CASE(
    "wrapper_functions::test_sleep_cancellable "
    "errors::test_is_cancelled_true_for_backend_exception: a sleeper whose group is "
    "cancelled sees a Cancelled",
    "[utils]"
) {
    test::over_backends([]() -> Task<> {
        std::exception_ptr seen;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                try {
                    co_await sleep(3600);
                } catch (const concurrency::Cancelled&) {
                    seen = std::current_exception();
                    throw;
                }
            });
            co_await concurrency::checkpoint();
            group.cancel();
        });
        CHECK(concurrency::is_cancelled(seen));
    });
}

TEST_CASE("is_coro_func: of a function and of a value", "[utils]") {
    const auto work = [](int) -> Task<> {
        co_return;
    };
    CHECK(concurrency::is_coro_func<decltype(work), int>);
    CHECK(concurrency::is_coro_func<decltype(work)>);
    CHECK_FALSE(concurrency::is_coro_func<decltype(work), std::string>);
    CHECK(concurrency::is_coro_func<Task<int>(double)>);
    CHECK_FALSE(concurrency::is_coro_func<int(double)>);
    const auto generic = [](auto) -> Task<> {
        co_return;
    };
    CHECK(concurrency::is_coro_func<decltype(generic), int>);
    CHECK_FALSE(concurrency::is_coro_func<decltype(generic)>);  // of no one type
    const auto bound = std::bind_front(work, 1);
    CHECK(concurrency::is_coro_func<decltype(bound)>);
    CHECK_FALSE(concurrency::is_coro_func<int>);
    CHECK(concurrency::is_coro_function(work));
    CHECK(concurrency::is_coro_function<int>(work));
    CHECK_FALSE(concurrency::is_coro_function(steady_seconds));
}

TEST_CASE("utils: run_sync is one of them", "[utils]") {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(concurrency::run_sync([] { return 4; }), == 4);
    });
}

// SPDX-License-Identifier: BSL-1.0
// Executors, map() and the thread pool, by the rows of the conformance table.
#include "futures/executor.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/context.hpp"
#include "mp/cpu_count.hpp"
#include "mp/process.hpp"

#include "ported/executor_rows.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::ThreadPoolExecutor;

namespace {

namespace executor_rows = test::executor_rows;
using executor_rows::power;

}  // namespace

TEST_CASE("ExecutorTest.test_submit: a call and its result") {
    ThreadPoolExecutor threads(4);
    executor_rows::submit(threads);
}

TEST_CASE("ExecutorTest.test_submit_keyword: options travel as arguments") {
    ThreadPoolExecutor threads(1);
    executor_rows::submit_keyword(threads);
}

TEST_CASE("ExecutorTest.test_map: as the loop would do it") {
    ThreadPoolExecutor threads(4);
    executor_rows::map(threads);
}

TEST_CASE("ExecutorTest.test_map_exception: the results after it can be had") {
    ThreadPoolExecutor threads(4);
    executor_rows::map_exception(threads);
}

TEST_CASE("ExecutorTest.test_map_timeout: the first results, then the error and the end"
) {
    ThreadPoolExecutor threads(3);
    executor_rows::map_timeout(threads, 200ms);
}

TEST_CASE("ExecutorTest.test_map_timeout_from_callable: it is not the map's own") {
    ThreadPoolExecutor threads(2);
    executor_rows::map_timeout_from_callable(threads);
}

TEST_CASE("ExecutorTest.test_map_close: cancels the rest") {
    ThreadPoolExecutor threads(1);
    executor_rows::map_close(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_value_validation: 0 and less are refused") {
    ThreadPoolExecutor threads(1);
    executor_rows::map_buffersize_value_validation(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize: any size gives all results in order") {
    ThreadPoolExecutor threads(2);
    executor_rows::map_buffersize(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_multiple_iterables: two ranges") {
    ThreadPoolExecutor threads(2);
    executor_rows::map_buffersize_on_multiple_iterables(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_infinite_iterable: it can be read from"
) {
    ThreadPoolExecutor threads(2);
    executor_rows::map_buffersize_on_infinite_iterable(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_multiple_infinite_iterables: as well") {
    ThreadPoolExecutor threads(2);
    executor_rows::map_buffersize_on_multiple_infinite_iterables(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_on_empty_iterable: no result") {
    ThreadPoolExecutor threads(1);
    executor_rows::map_buffersize_on_empty_iterable(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_when_buffer_is_full: no more is fetched") {
    ThreadPoolExecutor threads(1);
    executor_rows::map_buffersize_when_buffer_is_full(threads);
}

TEST_CASE("PoolExecutorTest.test_map_buffersize: one more is taken for each result") {
    ThreadPoolExecutor threads(1);
    executor_rows::map_buffersize_moves_on(threads);
}

TEST_CASE("ExecutorTest.test_map_buffersize_when_buffer_is_full, process pool: as well"
) {
    futures::ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    executor_rows::map_buffersize_when_buffer_is_full(pool);
}

TEST_CASE("PoolExecutorTest.test_map_buffersize, process pool: one more for each result"
) {
    futures::ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    executor_rows::map_buffersize_moves_on(pool);
}

TEST_CASE("ExecutorTest.test_no_stale_references: a task lets go of what it held") {
    ThreadPoolExecutor threads(1);
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = held;
    auto f = threads.submit([held = std::move(held)] { return *held; });
    CHECK(f.result() == 1);
    CHECK(watched.expired());
}

TEST_CASE("ExecutorTest.test_max_workers_negative: 0 and less are refused") {
    for (const int n : {0, -1}) {
        CHECK_THROWS_WITH(
            ThreadPoolExecutor(n),
            test::ContainsSubstring("max_workers must be greater than 0")
        );
        CHECK_THROWS_AS(ThreadPoolExecutor({.max_workers = n}), std::invalid_argument);
    }
}

TEST_CASE("ExecutorTest.test_free_reference: given results are not kept") {
    ThreadPoolExecutor threads(1);
    const auto make = [](int x) {
        return std::make_shared<int>(x);
    };
    for (auto&& result : threads.map(make, std::vector{1, 2, 3})) {
        const std::weak_ptr<int> watched = result;
        const auto taken = std::move(result);
        // The thread that ran the call lets go of its result a moment after it is
        // known.
        CHECK(test::soon([&] { return taken.use_count() == 1; }));
    }
}

TEST_CASE("ExecutorTest.test_swallows_falsey_exceptions: presence is what counts") {
    struct Falsey {
        explicit operator bool() const { return false; }
    };
    ThreadPoolExecutor threads(1);
    const auto empty = threads.submit([]() -> int { throw Falsey(); });
    CHECK_THROWS_AS(empty.result(), Falsey);
    const auto null = threads.submit([]() -> int { throw nullptr; });
    CHECK_THROWS_AS(null.result(), std::nullptr_t);
    CHECK(null.exception() != nullptr);
}

TEST_CASE("ThreadPoolExecutorTest.test_map_submits_without_iteration: all run") {
    ThreadPoolExecutor threads(3);
    executor_rows::map_submits_without_iteration(threads);
}

TEST_CASE("ThreadPoolExecutorTest.test_default_workers: min(32, usable CPUs + 4)") {
    const auto most =
        static_cast<std::size_t>(std::min(32, mp::usable_cpu_count() + 4));
    std::counting_semaphore<> go(0);
    ThreadPoolExecutor threads;
    for (std::size_t i = 0; i < most + 5; ++i) {
        threads.submit([&] { go.acquire(); });
    }
    CHECK(threads.statistics().threads == most);
    go.release(static_cast<std::ptrdiff_t>(most) + 5);
}

TEST_CASE("ThreadPoolExecutorTest.test_saturation: no more threads than allowed") {
    std::counting_semaphore<> go(0);
    ThreadPoolExecutor threads(4);
    for (int i = 0; i < 15 * 4; ++i) {
        threads.submit([&] { go.acquire(); });
    }
    CHECK(threads.statistics().threads == 4);
    go.release(15 * 4);
}

TEST_CASE("ThreadPoolExecutorTest.test_idle_thread_reuse: one thread is enough") {
    ThreadPoolExecutor threads;
    threads.submit(power, 21, 2).result();
    threads.submit(power, 6, 7).result();
    threads.submit(power, 3, 14).result();
    CHECK(threads.statistics().threads == 1);
}

// AddressSanitizer's allocator may be locked by another thread at the fork: the child
// hangs.
TEST_CASE(
    "ThreadPoolExecutorTest.test_hang_global_shutdown_lock: forks do not hang",
    "[no-tsan][no-asan]"
) {
    std::atomic<bool> stop{false};
    std::function<void()> again;
    ThreadPoolExecutor threads(2);
    again = [&] {
        if (!stop) {
            threads.submit(again);
        }
    };
    again();
    int failed = 0;
    for (int i = 0; i < 50; ++i) {
        failed += test::run_in_fork([] {
            ThreadPoolExecutor own(1);
            return own.submit(power, 2, 3).result() == 8 ? 0 : 1;
        });
    }
    CHECK(failed == 0);
    stop = true;
}

TEST_CASE("ThreadPoolExecutorTest.test_process_fork_from_a_threadpool: it exits with 0"
) {
    const test::LogCapture log;  // fork beside threads is warned of
    ThreadPoolExecutor threads(1);
    const auto f = threads.submit([] {
        auto process = mp::get_context("fork").Process([] {});
        process.start();
        process.join();
        return process.exitcode();
    });
    CHECK(f.result() == 0);
}

TEST_CASE("ThreadPoolExecutorTest.test_executor_map_current_future_cancel: none runs") {
    ThreadPoolExecutor threads(1);
    executor_rows::map_current_future_cancel(threads);
}

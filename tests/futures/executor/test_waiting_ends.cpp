// SPDX-License-Identifier: BSL-1.0
// Tasks that end while they wait for futures, and what the program does then.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"
#include "support/soon.hpp"

#include <pthread.h>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <thread>

using futures::CancelledError;
using futures::DependencyError;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using namespace std::chrono_literals;

namespace {

int waiting_inc(int value) {
    return value + 1;
}

std::exception_ptr waiting_error() {
    return std::make_exception_ptr(std::runtime_error("the root"));
}

/// The future that a task waits for ends without a value.
void end_badly(const Future<int>& future, bool fails) {
    if (fails) {
        future.set_exception(waiting_error());
    } else {
        future.cancel();
    }
}

template <class Pool>
void end_pool_in_callback(Pool& pool) {
    const bool fails = GENERATE(true, false);
    const Future<int> base;
    const auto task = pool.submit(waiting_inc, base);
    std::binary_semaphore ended(0);
    task.add_done_callback([&](const auto&) {
        pool.shutdown();
        ended.release();
    });
    end_badly(base, fails);
    ended.acquire();
    if (fails) {
        CHECK_THROWS_AS(task.result(), DependencyError);
    } else {
        CHECK_THROWS_AS(task.result(), CancelledError);
    }
}

/// Its first copy fails when it is asked for.
struct NoCopy {
    NoCopy() = default;

    NoCopy(const NoCopy& /*other*/) { throw std::runtime_error("it has no copy"); }

    NoCopy(NoCopy&&) = default;
    NoCopy& operator=(const NoCopy&) = delete;
    NoCopy& operator=(NoCopy&&) = delete;
    ~NoCopy() = default;
};

int takes_no_copy(const NoCopy& /*value*/) {
    return 1;
}

}  // namespace

TEST_CASE("waiting tasks: a callback may end the pool, also of the last one") {
    SECTION("threads") {
        ThreadPoolExecutor pool(1);
        end_pool_in_callback(pool);
    }
    SECTION("processes") {
        ProcessPoolExecutor pool(1);
        end_pool_in_callback(pool);
    }
}

TEST_CASE("waiting tasks: what a call holds may be the last handle of its pool") {
    const bool fails = GENERATE(true, false);
    auto pool = std::make_shared<ThreadPoolExecutor>(1);
    const Future<int> base;
    const auto task = pool->submit([held = pool](int value) { return value; }, base);
    pool.reset();
    end_badly(base, fails);
    CHECK(task.done());
}

TEST_CASE("waiting tasks: a pool may end in a function that runs before they do") {
    ThreadPoolExecutor pool(1);
    const Future<int> base;
    const auto recovered = base.recover([&](const std::exception_ptr&) {
        pool.shutdown();
        return 7;
    });
    const auto task = pool.submit(waiting_inc, base);
    base.set_exception(waiting_error());
    CHECK(recovered.result() == 7);
    CHECK_THROWS_AS(task.result(), DependencyError);
}

TEST_CASE(
    "waiting tasks: a callback that ends its thread leaves the pool able to end",
    "[no-asan]"
) {
    const bool fails = GENERATE(true, false);
    std::optional<ThreadPoolExecutor> pool(std::in_place, 1);
    const Future<int> base;
    const auto task = pool->submit(waiting_inc, base);
    task.add_done_callback([](const auto&) { pthread_exit(nullptr); });
    std::thread([&] { end_badly(base, fails); }).join();
    pool.reset();
    CHECK(task.done());
}

TEST_CASE("retries: an awaited argument that cannot be had is asked for once") {
    ThreadPoolExecutor threads(1);
    const Future<NoCopy> base;
    const auto other = base;  // so that it is to be copied
    auto task = threads.submit(
        {.retries = 3, .retry_on = futures::retry_on<std::exception>()},
        takes_no_copy,
        base
    );
    base.set_result(NoCopy());
    CHECK_THROWS_AS(task.result(), DependencyError);
}

TEST_CASE("threads: a task that was cancelled on another one's stack counts once") {
    ThreadPoolExecutor threads(2);
    std::optional<Future<void>> inner;
    std::binary_semaphore submitted(0);
    std::binary_semaphore reached(0);
    const auto outer = threads.submit([&] {
        inner = threads.submit([] {
            while (!futures::this_task().stop_requested()) {
                std::this_thread::yield();
            }
            futures::this_task().check_cancelled();
        });
        submitted.release();
        bool cancelled = false;
        try {
            inner->result();
        } catch (const CancelledError&) {
            cancelled = true;
        }
        // The queue lets go of it before the next one.
        threads.submit([] {}).result();
        const auto helper = threads.submit([&] { reached.release(); });
        return cancelled && reached.try_acquire_for(test::patience(1s));
    });
    submitted.acquire();
    REQUIRE(test::soon([&] { return inner->running(); }));
    CHECK(inner->cancel(futures::running));
    CHECK(outer.result());
}

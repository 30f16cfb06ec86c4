// SPDX-License-Identifier: BSL-1.0
// run: a loop around one coroutine.
#include "concurrency/backend.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using concurrency::Backend;
using concurrency::Task;

namespace {

Task<int> eight() {
    co_await concurrency::checkpoint();
    co_return 8;
}

Task<> fail() {
    co_await concurrency::checkpoint();
    throw std::invalid_argument("no");
}

Task<int> at_once() {
    co_return 3;
}

}  // namespace

TEST_CASE(
    "trio.run::basic eventloop::run_non_corofunc: gives what the coroutine gives",
    "[backend]"
) {
    test::each_backend([](Backend backend) {
        CHECK(concurrency::run(eight, backend) == 8);
        CHECK(concurrency::run(eight(), backend) == 8);
        CHECK(concurrency::run([] { return at_once(); }, backend) == 3);
        CHECK(*concurrency::run([]() -> Task<std::unique_ptr<int>> {
            co_return std::make_unique<int>(4);
        }) == 4);
    });
}

TEST_CASE(
    "trio.run::initial_task_error: an error of the main task comes out as it is",
    "[backend]"
) {
    test::each_backend([](Backend backend) {
        CHECK_THROWS_AS(concurrency::run(fail, backend), std::invalid_argument);
        const auto refuses = []() -> Task<> {
            throw std::logic_error("before");
        };
        CHECK_THROWS_AS(concurrency::run(refuses, backend), std::logic_error);
    });
}

TEST_CASE("run: a Task that was awaited before is refused", "[backend]") {
    Task<int> task = eight();
    CHECK(concurrency::run(task) == 8);
    CHECK_THROWS_AS(concurrency::run(task), concurrency::RuntimeError);
}

TEST_CASE(
    "trio.run::run_nesting: run inside run is refused, and run_async works there",
    "[backend]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_THROWS_AS(concurrency::run(eight), concurrency::RuntimeError);
        CHECK(concurrency::run_async(eight) == 8);
        CHECK_AWAITED(eight(), == 8);
    });
}

TEST_CASE(
    "run_async_in_sync_context::TestRunAsyncInSyncContextNoLoop.test_simple_return_"
    "value "
    "run_async_in_sync_context::TestRunAsyncInSyncContextNoLoop.test_string_return_"
    "value "
    "run_async_in_sync_context::TestRunAsyncInSyncContextNoLoop.test_with_arguments "
    "run_async_in_sync_context::TestRunAsyncInSyncContextNoLoop.test_exception_"
    "propagation "
    "run_async_in_sync_context::TestRunAsyncInSyncContextIntegration.test_multiple_"
    "sequential_calls: "
    "run_async gives the result, or throws",
    "[backend]"
) {
    const auto join = [](std::string a, std::string b) -> Task<std::string> {
        co_await concurrency::checkpoint();
        co_return a + b;
    };
    CHECK(concurrency::run_async(eight()) == 8);
    CHECK(concurrency::run_async(join("a", "b")) == "ab");
    CHECK_THROWS_AS(concurrency::run_async(fail), std::invalid_argument);
    int sum = 0;
    for (int i = 0; i < 5; ++i) {
        sum += concurrency::run_async(at_once);
    }
    CHECK(sum == 15);
}

TEST_CASE(
    "run_async_in_sync_context::TestRunAsyncInSyncContextWithLoop.test_simple_return_"
    "value "
    "run_async_in_sync_context::TestRunAsyncInSyncContextWithLoop.test_exception_"
    "propagation "
    "run_async_in_sync_context::TestRunAsyncInSyncContextThreading.test_separate_event_"
    "loop_in_thread: "
    "run_async inside a loop has a thread of its own",
    "[backend]"
) {
    test::over_backends([]() -> Task<> {
        const auto here = std::this_thread::get_id();
        const auto thread = []() -> Task<std::thread::id> {
            co_return std::this_thread::get_id();
        };
        CHECK(concurrency::run_async(thread) != here);
        CHECK_THROWS_AS(concurrency::run_async(fail), std::invalid_argument);
        co_return;
    });
}

TEST_CASE("run: loops in several threads have nothing in common", "[backend]") {
    std::vector<std::thread> threads;
    std::vector<int> results(4);
    for (int& result : results) {
        threads.emplace_back([&result] {
            for (int i = 0; i < 100; ++i) {
                result += concurrency::run(eight);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(results == std::vector<int>(4, 800));
}

TEST_CASE(
    "run: the child of a fork has no loop, and cannot wait in that of its parent",
    "[backend][no-tsan]"
) {
    // [no-tsan]: the system executor's threads are there when it forks.
    const auto body = []() -> Task<int> {
        const pid_t child = ::fork();
        if (child != 0) {
            int status = 0;
            ::waitpid(child, &status, 0);
            co_return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        int found = 0;
        try {
            concurrency::check_cancelled();
        } catch (const concurrency::RuntimeError&) {
            found += 1;
        }
        if (concurrency::run(eight) == 8) {
            found += 2;
        }
        try {
            co_await concurrency::cancel_shielded_checkpoint();
        } catch (const concurrency::RuntimeError&) {
            found += 4;
        }
        ::_exit(found);
    };
    CHECK(concurrency::run(body) == 7);
}

TEST_CASE("run: the arguments of the coroutine may follow it", "[backend]") {
    const auto join = [](const std::string& a,
                         std::unique_ptr<int> b) -> Task<std::string> {
        co_await concurrency::checkpoint();
        co_return a + std::to_string(*b);
    };
    CHECK(concurrency::run(join, "a", std::make_unique<int>(1)) == "a1");
    const std::string text = "b";
    CHECK(concurrency::run(join, text, std::make_unique<int>(2)) == "b2");
    int changed = 0;
    const auto change = [](int& value) -> Task<> {
        value = 2;
        co_return;
    };
    concurrency::run(change, changed);
    CHECK(changed == 2);
}

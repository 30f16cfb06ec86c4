// SPDX-License-Identifier: BSL-1.0
// run_async: coroutines called by ordinary code, be it inside a loop.
#include "concurrency/backend.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

using concurrency::run_async;
using concurrency::Task;

namespace {

using Ages = std::map<std::string, int>;

Task<std::string> greet(std::string name) {
    co_await concurrency::checkpoint();
    co_return "hello " + name;
}

Task<Ages> ages() {
    co_await concurrency::checkpoint();
    co_return Ages{{"ann", 1}, {"ben", 2}};
}

// Ordinary code that asks a coroutine at each step.
std::vector<int> path_through(const std::function<Task<bool>(int, int)>& is_open) {
    std::vector<int> path{0};
    for (int next = 1; next < 5; ++next) {
        if (run_async([&] { return is_open(path.back(), next); })) {
            path.push_back(next);
        }
    }
    return path;
}

}  // namespace

TEST_CASE(
    "run_async_in_sync_context::TestRunAsyncInSyncContextNoLoop.test_dict_return_value:"
    " "
    "it gives a map",
    "[run_async]"
) {
    CHECK(run_async(ages) == Ages{{"ann", 1}, {"ben", 2}});
}

TEST_CASE(
    "run_async_in_sync_context::TestRunAsyncInSyncContextWithLoop."
    "test_string_return_value "
    "run_async_in_sync_context::TestRunAsyncInSyncContextWithLoop."
    "test_dict_return_value "
    "run_async_in_sync_context::TestRunAsyncInSyncContextWithLoop.test_with_arguments: "
    "inside a loop as well",
    "[run_async]"
) {
    test::over_backends([]() -> Task<> {
        CHECK(run_async(greet("ann")) == "hello ann");
        CHECK(run_async([] { return greet("ben"); }) == "hello ben");
        CHECK(run_async(ages).at("ben") == 2);
        co_return;
    });
}

TEST_CASE(
    "run_async_in_sync_context::TestRunAsyncInSyncContextIntegration."
    "test_edge_condition_pattern "
    "run_async_in_sync_context::TestRunAsyncInSyncContextIntegration."
    "test_graph_find_path_pattern "
    "run_async_in_sync_context::TestRunAsyncInSyncContextThreading."
    "test_works_without_patching_asyncio: an algorithm of ordinary code asks a "
    "coroutine, in a loop or in none",
    "[run_async]"
) {
    const auto is_odd_step = [](int from, int to) -> Task<bool> {
        co_await concurrency::checkpoint();
        co_return (to - from) % 2 == 1;
    };
    const auto wrapped = [&](int from, int to) -> Task<bool> {
        co_return co_await is_odd_step(from, to);
    };
    const std::vector<int> expected{0, 1, 2, 3, 4};
    CHECK(path_through(is_odd_step) == expected);
    test::over_backends([&]() -> Task<> {
        CHECK(path_through(is_odd_step) == expected);
        CHECK(path_through(wrapped) == expected);
        co_return;
    });
}

TEST_CASE("run_async: the arguments of the coroutine may follow it", "[run_async]") {
    CHECK(run_async(greet, "ann") == "hello ann");
    CHECK(concurrency::run([]() -> Task<std::string> {
              co_return run_async(greet, std::string("ben"));
          }) == "hello ben");
}

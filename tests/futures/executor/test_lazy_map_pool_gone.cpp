// SPDX-License-Identifier: BSL-1.0
// Lazy maps whose executor is gone or was moved, and executors that were moved from.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"

#include <memory>
#include <utility>
#include <vector>

using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::inc;

namespace {

const std::vector<int> input{1, 2, 3, 4, 5, 6};

template <class Pool>
std::unique_ptr<Pool> made() {
    return std::make_unique<Pool>(1);
}

/// The results until one is an exception; then how it was thrown.
template <class Results>
std::pair<std::vector<int>, std::string> until_error(Results& results) {
    std::vector<int> got;
    try {
        for (int x : results) {
            got.push_back(x);
        }
    } catch (const mp::StateError& error) {
        return {got, error.what()};
    }
    return {got, ""};
}

}  // namespace

TEMPLATE_TEST_CASE(
    "map: a lazy one whose executor is gone throws StateError",
    "[map]",
    ThreadPoolExecutor,
    ProcessPoolExecutor
) {
    const int chunksize = GENERATE(1, 2);
    auto pool = made<TestType>();
    auto results = pool->map({.chunksize = chunksize, .buffersize = 2}, inc, input);
    pool.reset();
    const auto [got, error] = until_error(results);
    // What was submitted is there.
    CHECK(got == std::vector<int>{2, 3});
    CHECK_THAT(
        error, test::ContainsSubstring("gone") || test::ContainsSubstring("shut down")
    );
    // It was the last one.
    ++results.begin();
    CHECK(results.begin() == results.end());
}

TEMPLATE_TEST_CASE(
    "map: a lazy one goes on when its executor was moved",
    "[map]",
    ThreadPoolExecutor,
    ProcessPoolExecutor
) {
    const int chunksize = GENERATE(1, 2);
    auto pool = made<TestType>();
    auto results = pool->map({.chunksize = chunksize, .buffersize = 2}, inc, input);
    TestType moved = std::move(*pool);
    pool.reset();
    SECTION("by construction") {
        const auto [got, error] = until_error(results);
        CHECK(got == std::vector<int>{2, 3, 4, 5, 6, 7});
        CHECK(error.empty());
    }
    SECTION("by assignment") {
        TestType assigned(1);
        assigned = std::move(moved);
        const auto [got, error] = until_error(results);
        CHECK(got == std::vector<int>{2, 3, 4, 5, 6, 7});
        CHECK(error.empty());
    }
    SECTION("until the new one is assigned to") {
        moved = TestType(1);
        const auto [got, error] = until_error(results);
        CHECK(got == std::vector<int>{2, 3});
        CHECK_FALSE(error.empty());
        CHECK(moved.submit(inc, 1).result() == 2);
    }
}

TEMPLATE_TEST_CASE(
    "map: nothing is left of one that its executor outlives by a moment",
    "[map]",
    ThreadPoolExecutor,
    ProcessPoolExecutor
) {
    auto pool = made<TestType>();
    auto all = pool->map(inc, input);
    auto lazy = pool->map({.buffersize = 1}, inc, input);
    pool.reset();
    // Everything was submitted at the call.
    CHECK(until_error(all).first == std::vector<int>{2, 3, 4, 5, 6, 7});
    lazy.close();
    CHECK(lazy.begin() == lazy.end());
}

TEMPLATE_TEST_CASE(
    "executor: one that was moved from takes no work",
    "[executor]",
    ThreadPoolExecutor,
    ProcessPoolExecutor
) {
    TestType pool(1);
    TestType moved = std::move(pool);
    // NOLINTBEGIN(bugprone-use-after-move): that is the test
    CHECK_THROWS_AS(pool.submit(inc, 1), mp::StateError);
    CHECK_THROWS_AS(pool.map(inc, input), mp::StateError);
    CHECK_THROWS_AS(pool.map({.buffersize = 2}, inc, input), mp::StateError);
    CHECK_THROWS_AS(pool.map({.chunksize = 2}, inc, input), mp::StateError);
    CHECK_THROWS_WITH(pool.submit(inc, 1), test::ContainsSubstring("moved from"));
    // It has no work, and nothing to end.
    pool.shutdown();
    pool.shutdown({.wait = false, .cancel_futures = true});
    CHECK(pool.statistics().submitted == 0);
    if constexpr (std::is_same_v<TestType, ProcessPoolExecutor>) {
        CHECK(pool.workers().empty());
        pool.terminate_workers();
        pool.kill_workers();
    }
    // It can be assigned to; to itself, too.
    pool = std::move(moved);
    CHECK(pool.submit(inc, 1).result() == 2);
    TestType& same = pool;
    pool = std::move(same);
    CHECK(pool.submit(inc, 2).result() == 3);
    // NOLINTEND(bugprone-use-after-move)
}

// SPDX-License-Identifier: BSL-1.0
// map() over futures: each call gets the value of its item, when that is there.
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::DependencyError;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::inc;
using test::on;

namespace {

int add_to(int x, int y) {
    return x + y;
}

template <class Pool>
void map_ten_futures(Pool& pool) {
    std::vector<Future<int>> ten;
    std::vector<int> expected;
    for (int i = 0; i < 10; ++i) {
        ten.push_back(pool.submit(inc, i));
        expected.push_back(i + 1 + 100);
    }
    CHECK(pool.map(add_to, ten, std::vector(10, 100)).to_vector() == expected);
    CHECK(
        pool.map({.chunksize = 3, .buffersize = 2}, add_to, ten, std::vector(10, 100))
            .to_vector() == expected
    );
    std::deque<Future<int>> given(ten.begin(), ten.end());
    CHECK(
        pool.map(add_to, std::vector(10, 100), std::move(given)).to_vector() == expected
    );
    CHECK(pool.map(inc, {ten[0], ten[1]}).to_vector() == std::vector{2, 3});
}

template <class Pool>
void wait_for_each_alone(Pool& pool) {
    const std::vector<Future<int>> items(4);
    auto results = pool.map(inc, items);
    auto it = results.begin();
    items[3].set_result(4);
    items[0].set_result(1);
    CHECK(*it == 2);
    ++it;
    items[1].set_exception(std::make_exception_ptr(std::runtime_error("no")));
    CHECK_THROWS_AS(*it, DependencyError);
    ++it;
    CHECK(items[2].cancel());
    items[2].set_running_or_notify_cancel();
    CHECK_THROWS_AS(*it, CancelledError);
    ++it;
    CHECK(*it == 5);
    ++it;
    CHECK(it == results.end());
}

}  // namespace

TEST_CASE("dask::test_client::futures_in_map: map() over ten futures, in threads") {
    ThreadPoolExecutor pool(2);
    map_ten_futures(pool);
}

TEST_CASE("dask::test_client::futures_in_map: map() over ten futures, in processes") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    map_ten_futures(pool);
}

TEST_CASE("map() over futures: each item waits for its own") {
    ThreadPoolExecutor threads(1);
    wait_for_each_alone(threads);
    ProcessPoolExecutor processes(on(each_pool_start_method(), 1));
    wait_for_each_alone(processes);
}

TEST_CASE("map() over futures: a function that takes futures gets them") {
    ThreadPoolExecutor pool(1);
    const std::vector<Future<int>> items(2);
    auto results =
        pool.map([](const Future<int>& future) { return future.done(); }, items);
    CHECK(results.to_vector() == std::vector{false, false});
}

TEST_CASE("map() over futures: values that cannot be copied are taken") {
    ThreadPoolExecutor pool(1);
    std::vector<Future<std::unique_ptr<int>>> items(2);
    items[0].set_result(std::make_unique<int>(1));
    items[1].set_result(std::make_unique<int>(2));
    const auto value = [](std::unique_ptr<int> x) {
        return *x;
    };
    CHECK(pool.map(value, std::move(items)).to_vector() == std::vector{1, 2});
}

TEST_CASE("map() over futures: dropping the results cancels what waits") {
    ThreadPoolExecutor pool(1);
    const std::vector<Future<int>> items(3);
    { const auto results = pool.map(inc, items); }
    pool.shutdown();
    CHECK_FALSE(items[0].done());
}

// SPDX-License-Identifier: BSL-1.0
// The rows of CPython's tests of shutdown and initializers that every executor goes
// through.
#pragma once

#include "futures/errors.hpp"
#include "futures/future.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace test::shutdown_rows {

using namespace std::chrono_literals;
using futures::Future;

inline int negated(int x) {
    return -x;
}

inline int yield_and_return(int x) {
    std::this_thread::yield();
    return x;
}

template <class Pool>
void run_after_shutdown(Pool& pool) {
    pool.shutdown();
    CHECK_THROWS_AS(pool.submit(negated, 2), mp::StateError);
}

template <class Pool>
void hang_issue12364(Pool& pool) {
    std::vector<Future<int>> fs;
    for (int i = 0; i < 50; ++i) {
        fs.push_back(pool.submit(yield_and_return, i));
    }
    pool.shutdown();
    for (int i = 0; i < 50; ++i) {
        CHECK(fs[static_cast<std::size_t>(i)].result(0s) == i);
    }
}

/// Requires: fewer than 30 tasks are out of reach for cancel().
template <class Pool>
void cancel_futures(Pool& pool) {
    const test::Gate gate;
    std::vector<Future<void>> fs;
    for (int i = 0; i < 50; ++i) {
        fs.push_back(pool.submit(test::pass, gate.path()));
    }
    gate.open(1);
    futures::wait(fs, futures::FIRST_COMPLETED);
    pool.shutdown({.wait = false, .cancel_futures = true});
    gate.open(50);
    pool.shutdown();
    const auto cancelled = std::count_if(fs.begin(), fs.end(), [](const auto& f) {
        return f.cancelled();
    });
    CHECK(cancelled > 20);
    CHECK(cancelled < 50);
    for (const auto& f : fs) {
        CHECK(f.done());
        CHECK((f.cancelled() || f.exception(0s) == nullptr));
    }
}

/// The pool is made by `make` each time.
template <class Make>
void hang_gh94440(Make make) {
    for (int i = 0; i < 50; ++i) {
        auto pool = make();
        const auto f = pool->submit(negated, 1);
        f.cancel();
        pool->shutdown();
        CHECK(f.done());
    }
}

/// Whether all is well, for who runs it in a child.
template <class Make>
bool shutdown_race_issue12456(Make make) {
    for (int i = 0; i < 50; ++i) {
        auto pool = make();
        auto results = pool->map(negated, std::vector{1, 2, 3, 4});
        pool->shutdown();
        int expected = -1;
        for (const int x : results) {
            if (x != expected--) {
                return false;
            }
        }
        if (expected != -5) {
            return false;
        }
    }
    return true;
}

/// `results` are those of negated() for -5, -4, -3.
template <class Results>
void expect_negated(Results&& results) {
    int expected = 5;
    for (const int x : results) {
        CHECK(x == expected--);
    }
    CHECK(expected == 2);
}

template <class Pool, class... Args>
void context_manager_shutdown(const Args&... args) {
    std::optional<futures::MapResults<int>> results;
    {
        Pool pool(args...);
        results.emplace(pool.map(negated, std::vector{-5, -4, -3}));
    }
    expect_negated(*results);
}

template <class Pool, class... Args>
void del_shutdown(const Args&... args) {
    auto pool = std::make_unique<Pool>(args...);
    auto results = pool->map(negated, std::vector{-5, -4, -3});
    pool.reset();
    expect_negated(results);
}

template <class Pool>
void shutdown_no_wait(Pool& pool) {
    auto results = pool.map(negated, std::vector{-5, -4, -3});
    pool.shutdown({.wait = false});
    expect_negated(results);
}

/// Requires: the initializer of the pool waits for the gate, then throws
/// std::invalid_argument("error in initializer"). `Broken`: what the pool calls it.
template <class Broken, class Pool>
void failing_initializer(Pool& pool, const test::Gate& gate) {
    const auto first = pool.submit(negated, 1);
    const auto second = pool.submit(negated, 2);
    gate.open(1);
    CHECK_THROWS_AS(first.result(10s), futures::BrokenExecutor);
    CHECK_THROWS_AS(second.result(10s), Broken);
    CHECK(first.exception() != second.exception());
    CHECK_THROWS_AS(pool.submit(negated, 3), Broken);
    try {
        first.result();
    } catch (const Broken& error) {
        CHECK_THROWS_WITH(std::rethrow_if_nested(error), "error in initializer");
    }
    gate.open(20);
    pool.shutdown();
}

}  // namespace test::shutdown_rows

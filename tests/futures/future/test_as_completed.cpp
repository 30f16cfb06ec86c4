// SPDX-License-Identifier: BSL-1.0
// as_completed(): the order in which futures come, and its time limit.
#include "futures/as_completed.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;

TEST_CASE("as_completed: gives futures in the order they end", "[as_completed]") {
    std::vector<Future<int>> fs(5);
    fs[2].set_result(2);
    std::vector<int> order;
    for (const auto& f : futures::as_completed(fs)) {
        order.push_back(f.result());
        switch (f.result()) {
        case 2:
            fs[4].set_result(4);
            break;
        case 4:
            fs[0].set_result(0);
            break;
        case 0:  // two end while nobody looks
            fs[3].set_result(3);
            fs[1].set_result(1);
            break;
        default:
            break;
        }
    }
    CHECK(order == std::vector<int>{2, 4, 0, 3, 1});
}

TEST_CASE("as_completed: the time starts at the first step", "[as_completed]") {
    const Future<int> f;
    auto range = futures::as_completed({f}, 1h);
    f.set_result(1);
    CHECK(range.begin()->result() == 1);

    const Future<int> g;
    auto late = futures::as_completed({g}, 0s);
    g.set_result(2);  // before the time started, so it is in time
    CHECK(late.begin()->result() == 2);
}

TEST_CASE("as_completed: of nothing is over at once", "[as_completed]") {
    const std::vector<Future<int>> none;
    auto range = futures::as_completed(none);
    CHECK(range.begin() == range.end());
}

TEST_CASE("as_completed: may be left before its end", "[as_completed]") {
    const Future<int> f;
    const Future<int> g;
    f.set_result(1);
    for (const auto& done : futures::as_completed({f, g})) {
        CHECK(done == f);
        break;
    }
    g.set_result(2);
    CHECK(g.result() == 2);
}

TEST_CASE("as_completed: with a pool, everything comes once", "[as_completed]") {
    futures::ThreadPoolExecutor threads(3);
    for (int round = 0; round < 20; ++round) {
        std::vector<Future<int>> fs;
        for (int i = 0; i < 100; ++i) {
            fs.push_back(threads.submit([i] { return i; }));
        }
        int sum = 0;
        for (auto& f : futures::as_completed(std::move(fs), 10s)) {
            sum += std::move(f).result();
        }
        REQUIRE(sum == 4950);
    }
}

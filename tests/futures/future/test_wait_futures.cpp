// SPDX-License-Identifier: BSL-1.0
// futures::wait(): what it gives back, and when.
#include "futures/wait.hpp"

#include "support/catch.hpp"

#include <chrono>
#include <list>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;

TEST_CASE("wait: gives both sets in the order of the input", "[wait]") {
    const std::list<Future<int>> fs(1);
    Future<int> a;
    Future<int> b;
    Future<int> c;
    c.set_result(1);
    a.set_result(2);
    const auto sets = futures::wait(std::vector{a, b, c, a}, 0s);
    CHECK(sets.done == std::vector{a, c});
    CHECK(sets.not_done == std::vector{b});
    CHECK(futures::wait(fs, 0s).not_done.size() == 1);
}

TEST_CASE("wait: of nothing returns at once", "[wait]") {
    const std::vector<Future<int>> none;
    CHECK(futures::wait(none).done.empty());
    CHECK(futures::wait(none, futures::FIRST_COMPLETED).done.empty());
    CHECK(futures::wait(none, futures::FIRST_EXCEPTION).not_done.empty());
}

TEST_CASE("wait: FIRST_COMPLETED and FIRST_EXCEPTION need no timeout", "[wait]") {
    const Future<int> f;
    const Future<int> g;
    std::thread other([&] { f.set_exception(std::runtime_error("no")); });
    CHECK(futures::wait({f, g}, futures::FIRST_COMPLETED).done == std::vector{f});
    CHECK(futures::wait({f, g}, futures::FIRST_EXCEPTION).done == std::vector{f});
    other.join();
}

TEST_CASE("wait: a timeout leaves nothing behind in the futures", "[wait]") {
    const Future<int> f;
    const Future<int> g;
    for (int i = 0; i < 100; ++i) {
        CHECK(futures::wait({f, g}, 0s, futures::FIRST_COMPLETED).done.empty());
        CHECK(futures::wait({f, g}, 10us, futures::FIRST_EXCEPTION).done.empty());
    }
    f.set_result(1);
    CHECK(futures::wait({f, g}, futures::FIRST_COMPLETED).done == std::vector{f});
}

TEST_CASE("wait: many waiters, one future after the other ends", "[wait]") {
    for (int round = 0; round < 50; ++round) {
        std::vector<Future<int>> fs(20);
        std::vector<std::thread> waiters;
        for (const auto when :
             {futures::ALL_COMPLETED,
              futures::FIRST_COMPLETED,
              futures::FIRST_EXCEPTION}) {
            waiters.emplace_back([&fs, when] { futures::wait(fs, when); });
        }
        for (const auto& f : fs) {
            f.set_result(round);
        }
        for (auto& waiter : waiters) {
            waiter.join();
        }
    }
}

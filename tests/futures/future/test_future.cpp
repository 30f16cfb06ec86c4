// SPDX-License-Identifier: BSL-1.0
// Future: handles, results, callbacks and timeouts.
#include "futures/future.hpp"

#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/log_capture.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using test::Counted;

TEST_CASE("Future: copies are handles of one future", "[future]") {
    const Future<int> f;
    const Future<int> g = f;
    const Future<int> other;
    CHECK(f == g);
    CHECK(f != other);
    CHECK(std::unordered_set<Future<int>>{f, g, other}.size() == 2);
    g.set_result(3);
    CHECK(f.done());
    CHECK(f.result() == 3);
    CHECK(&f.result() == &g.result());
}

TEST_CASE("Future: a moved-from handle has no future", "[future]") {
    Future<int> f;
    const Future<int> g = std::move(f);
    CHECK_THROWS_AS(f.done(), futures::InvalidStateError);
    CHECK_THROWS_AS(f.result(), futures::InvalidStateError);
    CHECK_FALSE(g.done());
}

TEST_CASE("Future: result() of an rvalue moves from the only handle", "[future]") {
    int copies = 0;
    Future<Counted> f;
    f.set_result(Counted(copies));
    SECTION("the only handle") {
        std::move(f).result();
        CHECK(copies == 0);
        CHECK_THROWS_AS(f.result(), futures::InvalidStateError);
        CHECK_THROWS_AS(std::move(f).result(), futures::InvalidStateError);
    }
    SECTION("one of two") {
        const Future<Counted> g = f;
        std::move(f).result();
        CHECK(copies == 1);
        CHECK(g.result().copies == &copies);
    }
}

TEST_CASE("Future: a value that cannot be copied is taken once", "[future]") {
    Future<std::unique_ptr<int>> f;
    f.set_result(std::make_unique<int>(4));
    Future<std::unique_ptr<int>> g = f;
    CHECK(*f.result() == 4);
    CHECK(*std::move(g).result() == 4);
    CHECK_THROWS_AS(std::move(g).result(), futures::InvalidStateError);
    CHECK_THROWS_AS(f.result(), futures::InvalidStateError);
}

TEST_CASE("Future: void has results too", "[future]") {
    const Future<void> f;
    CHECK_THROWS_AS(f.result(0s), futures::TimeoutError);
    f.set_result();
    f.result();
    CHECK(f.exception() == nullptr);
    CHECK(f.to_string().find("state=finished returned void") != std::string::npos);
}

TEST_CASE("Future: a constructor that throws in set_result() changes nothing") {
    struct Picky {
        explicit Picky(int n) {
            if (n < 0) {
                throw std::invalid_argument("negative");
            }
        }
    };
    const Future<Picky> f;
    CHECK_THROWS_AS(f.set_result(-1), std::invalid_argument);
    CHECK_FALSE(f.done());
    f.set_result(1);
    CHECK(f.done());
}

TEST_CASE("Future: callbacks run in order, also when they add more", "[future]") {
    std::vector<int> order;
    const Future<int> f;
    f.add_done_callback([&](const Future<int>& done) {
        order.push_back(1);
        done.add_done_callback([&](const Future<int>&) { order.push_back(2); });
    });
    f.add_done_callback([&](const Future<int>&) { order.push_back(3); });
    f.set_result(0);
    CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("Future: what a callback throws is logged, whatever it is", "[future]") {
    const test::LogCapture log;
    const Future<int> f;
    int called = 0;
    f.add_done_callback([](const Future<int>&) { throw 5; });
    f.add_done_callback([&](const Future<int>&) { ++called; });
    CHECK(f.cancel());
    CHECK(called == 1);
    CHECK(
        log.text().find("exception calling callback for <Future at") !=
        std::string::npos
    );
    CHECK(log.text().find("int") != std::string::npos);
}

TEST_CASE("Future: callbacks of a future that is never done go with it", "[future]") {
    const auto held = std::make_shared<int>(1);
    {
        const Future<int> f;
        f.add_done_callback([held](const Future<int>&) {});
        CHECK(held.use_count() == 2);
    }
    CHECK(held.use_count() == 1);
}

TEST_CASE("Future: cancel() against set_result(): one wins, callbacks run once") {
    for (int round = 0; round < 500; ++round) {
        const Future<int> f;
        std::atomic<int> called{0};
        f.add_done_callback([&](const Future<int>&) { ++called; });
        bool cancelled = false;
        bool set = true;
        std::thread other([&] { cancelled = f.cancel(); });
        try {
            f.set_result(1);
        } catch (const futures::InvalidStateError&) {
            set = false;
        }
        other.join();
        REQUIRE(cancelled != set);
        REQUIRE(called == 1);
        REQUIRE(f.cancelled() == cancelled);
    }
}

TEST_CASE("Future: add_done_callback() against set_result(): once, never lost") {
    for (int round = 0; round < 500; ++round) {
        const Future<int> f;
        std::atomic<int> called{0};
        std::thread other([&] {
            for (int i = 0; i < 5; ++i) {
                f.add_done_callback([&](const Future<int>&) { ++called; });
            }
        });
        f.set_result(1);
        other.join();
        REQUIRE(called == 5);
    }
}

TEST_CASE("Future: the timeout's text says which future and how long", "[future]") {
    const Future<int> f;
    CHECK_THROWS_WITH(
        f.result(1ms),
        test::ContainsSubstring("state=pending> is not done after 0.001 s")
    );
}

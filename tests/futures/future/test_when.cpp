// SPDX-License-Identifier: BSL-1.0
// when_all and when_any.
#include "futures/then.hpp"
#include "futures/when.hpp"

#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

using futures::Future;
using futures::when_all;
using futures::when_any;

TEST_CASE("when_all() of futures of any types is one of a tuple", "[when]") {
    const Future<int> f;
    const Future<std::string> g;
    const Future<void> h;
    const auto all = when_all(f, g, h);
    static_assert(std::is_same_v<
                  decltype(all),
                  const Future<std::tuple<int, std::string, std::monostate>>>);
    f.set_result(1);
    h.set_result();
    CHECK_FALSE(all.done());
    g.set_result("two");
    CHECK(all.result() == std::tuple(1, std::string("two"), std::monostate()));
    CHECK(g.result() == "two");
    CHECK(when_all(f, f).result() == std::tuple(1, 1));
}

TEST_CASE(
    "mpi4py::test_futures::Collect::empty: when_all() of no futures is done at once",
    "[when]"
) {
    const std::vector<Future<int>> none;
    const auto all = when_all(none);
    CHECK(all.done());
    CHECK(all.result().empty());
}

TEST_CASE(
    "mpi4py::test_futures::Collect::success: when_all() of a range has the values in "
    "order",
    "[when]"
) {
    const std::vector<Future<int>> fs(5);
    CHECK(when_all(std::vector<Future<void>>()).done());
    fs[2].set_result(2);
    const auto all = when_all(fs);
    for (const std::size_t i : {4U, 0U, 3U}) {
        fs[i].set_result(static_cast<int>(i));
        CHECK_FALSE(all.done());
    }
    fs[1].set_result(1);
    CHECK(all.result() == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(when_all({fs[0], fs[3]}).result() == std::vector<int>{0, 3});
}

TEST_CASE(
    "mpi4py::test_futures::Collect::failure_cancels_rest: when_all() fails at once "
    "with the "
    "first failure, and leaves the others alone",
    "[when]"
) {
    const std::vector<Future<int>> fs(5);
    const auto all = when_all(fs);
    fs[3].set_exception(std::out_of_range("three"));
    CHECK(all.done());
    CHECK_THROWS_WITH(all.result(), "three");
    CHECK_FALSE(fs[0].done());
    fs[1].set_exception(std::out_of_range("one"));
    CHECK_THROWS_WITH(all.result(), "three");
}

TEST_CASE(
    "mpi4py::test_futures::Collect::cancel_collection: cancelling when_all() leaves "
    "its "
    "futures, and cancelling one of them cancels it",
    "[when]"
) {
    const std::vector<Future<int>> fs(3);
    const auto all = when_all(fs);
    CHECK(all.cancel());
    CHECK_FALSE(fs[0].done());
    for (const auto& f : fs) {
        f.set_result(1);
    }
    CHECK(all.cancelled());
    const std::vector<Future<int>> others(3);
    const auto theirs = when_all(others);
    others[1].cancel();
    CHECK(theirs.cancelled());
}

TEST_CASE("when_all() of handles given away moves what cannot be copied", "[when]") {
    std::vector<Future<std::unique_ptr<int>>> fs(2);
    const auto kept = fs;
    const auto all = when_all(std::move(fs));
    kept[0].set_result(std::make_unique<int>(1));
    kept[1].set_result(std::make_unique<int>(2));
    CHECK(*all.result()[0] + *all.result()[1] == 3);
    CHECK_THROWS_AS(kept[0].result(), futures::InvalidStateError);
}

TEST_CASE("when_all(): two that fail in the same moment fail it once", "[when]") {
    for (int round = 0; round < 300; ++round) {
        const std::vector<Future<int>> fs(2);
        const auto all = when_all(fs);
        int told = 0;
        all.add_done_callback([&](const auto&) { ++told; });
        std::thread other([&] { fs[0].set_exception(std::out_of_range("a")); });
        if (round % 2 == 0) {
            fs[1].set_exception(std::out_of_range("b"));
        } else {
            fs[1].cancel();
        }
        other.join();
        REQUIRE(all.done());
        REQUIRE(told == 1);
    }
}

TEST_CASE("when_any() is done with the first, however that ends", "[when]") {
    const std::vector<Future<int>> fs(3);
    const auto any = when_any(fs);
    CHECK_FALSE(any.done());
    fs[1].set_exception(std::out_of_range("one"));
    CHECK(any.result().index == 1);
    CHECK(any.result().futures == fs);
    CHECK_THROWS_AS(any.result().future().result(), std::out_of_range);
    fs[0].set_result(1);
    CHECK(any.result().index == 1);
    CHECK(when_any(fs).result().index == 0);
    const Future<int> cancelled;
    const auto other = when_any({fs[2], cancelled});
    cancelled.cancel();
    CHECK(other.result().index == 1);
    CHECK_THROWS_AS(when_any(std::vector<Future<int>>()), std::invalid_argument);
}

TEST_CASE("when_any(): cancelling it leaves its futures", "[when]") {
    const std::vector<Future<int>> fs(3);
    const auto any = when_any(fs);
    CHECK(any.cancel());
    fs[0].set_result(1);
    CHECK(any.cancelled());
}

TEST_CASE("when_any(): of futures that nobody can complete it fails", "[when]") {
    const auto token = std::make_shared<int>(1);
    const auto watched = [&token] {
        Future<int> future;
        future.add_done_callback([token](const Future<int>&) {});
        return future;
    };
    SECTION("whose handles were given away") {
        std::vector<Future<int>> given;
        given.push_back(watched());
        given.push_back(watched());
        const auto any = when_any(std::move(given));
        CHECK_THROWS_AS(any.result(), futures::DependencyError);
    }
    SECTION("whose handles go later, one after the other") {
        std::vector<Future<int>> held{watched(), watched()};
        const auto any = when_any(held);
        const auto then = any.then([](const futures::WhenAnyResult<int>& first) {
            return first.index;
        });
        held.pop_back();
        CHECK_FALSE(any.done());
        held.clear();
        CHECK_THROWS_AS(any.result(), futures::DependencyError);
        CHECK_THROWS_AS(then.result(), futures::DependencyError);
    }
    SECTION("and of which nobody has the result") {
        when_any({watched(), watched()});
    }
    SECTION("in several of them") {
        Future<int> one = watched();
        const auto first = when_any({one, one});
        const auto second = when_any({one, watched()});
        const auto third = when_any({one});
        CHECK(third.cancel());
        CHECK_FALSE(second.done());
        one = Future<int>();
        CHECK_THROWS_AS(first.result(), futures::DependencyError);
        CHECK_THROWS_AS(second.result(), futures::DependencyError);
    }
    CHECK(token.use_count() == 1);
}

TEST_CASE("when_any(): one that is lost leaves it to the others", "[when]") {
    Future<int> kept;
    auto any = when_any({Future<int>(), kept});
    CHECK_FALSE(any.done());
    kept.set_result(3);
    const auto result = std::move(any).result();
    CHECK(result.index == 1);
    CHECK(result.future().result() == 3);
    CHECK_FALSE(result.futures.at(0).done());
    result.futures.at(0).set_result(4);
    CHECK(result.futures.at(0).result() == 4);
}

TEST_CASE("when_any(): handles that go in many threads are counted", "[when]") {
    for (int round = 0; round < 200; ++round) {
        const auto token = std::make_shared<int>(1);
        std::vector<futures::Future<futures::WhenAnyResult<int>>> waiting;
        {
            Future<int> future;
            future.add_done_callback([token](const Future<int>&) {});
            std::vector<std::thread> threads;
            for (int i = 0; i < 4; ++i) {
                waiting.push_back(when_any({future}));
            }
            for (const auto& any : waiting) {
                threads.emplace_back([mine = future, &any]() mutable {
                    any.cancel();
                    mine = Future<int>();
                });
            }
            future = Future<int>();
            for (auto& thread : threads) {
                thread.join();
            }
        }
        CHECK(token.use_count() == 1);
    }
}

TEST_CASE("when_any(): the ends of many at once give it one", "[when]") {
    for (int round = 0; round < 300; ++round) {
        const std::vector<Future<int>> fs(3);
        const auto any = when_any(fs);
        std::thread other([&] { fs[2].set_result(2); });
        fs[0].set_result(0);
        other.join();
        REQUIRE(any.result().future().done());
        REQUIRE(any.result().index != 1);
    }
}

TEST_CASE("when_all(): a fan of 100000 futures", "[when]") {
    const std::vector<Future<int>> fs(100'000);
    const auto all =
        when_all(fs).then([](const std::vector<int>& v) { return v.size(); });
    for (const auto& f : fs) {
        f.set_result(1);
    }
    CHECK(all.result() == 100'000);
}

// SPDX-License-Identifier: BSL-1.0
// gather: several coroutines at once, and the results of all.
#include "concurrency/cancel.hpp"
#include "concurrency/gather.hpp"
#include "concurrency/local.hpp"
#include "concurrency/running_tasks.hpp"
#include "small_tasks.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::gather;
using concurrency::Outcome;
using concurrency::return_exceptions;
using concurrency::sleep_forever;
using concurrency::Task;
using test::fail;
using test::give;
using test::until_cancelled;

namespace {

Task<int> fail_when_cancelled(std::string text) {
    try {
        co_await sleep_forever();
    } catch (const Cancelled&) {
        // and then:
    }
    throw std::runtime_error(text);
}

Task<> nothing() {
    co_await checkpoint();
}

}  // namespace

TEST_CASE(
    "patterns::test_gather_empty_returns_empty: nothing to await gives nothing",
    "[gather]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(gather(std::vector<Task<int>>()), .empty());
        CHECK_AWAITED(gather(return_exceptions, std::vector<Task<int>>()), .empty());
        co_await gather(std::vector<Task<>>());
        CHECK_AWAITED(gather(), == std::tuple<>());
        CHECK_AWAITED(gather(return_exceptions), .empty());
        // Not even in a cancelled scope does that wait.
        CancelScope scope;
        scope.cancel();
        bool passed = false;
        auto body = [&]() -> Task<> {
            co_await gather(std::vector<Task<int>>());
            passed = true;
        };
        co_await scope.run(body);
        CHECK(passed);
    });
}

TEST_CASE("gather: results come in the order of the coroutines", "[gather]") {
    test::over_backends([]() -> Task<> {
        std::vector<Task<int>> tasks;
        for (int i = 0; i < 6; ++i) {
            tasks.push_back(give(i, 6 - i));
        }
        CHECK_AWAITED(
            gather(std::move(tasks)), == std::vector<int>({0, 1, 2, 3, 4, 5})
        );
    });
}

TEST_CASE("gather: arguments of any types give a tuple", "[gather]") {
    test::over_backends([]() -> Task<> {
        int number = 1;
        const auto text = []() -> Task<std::string> {
            co_return "text";
        };
        const auto refer = [&]() -> Task<int&> {
            co_return number;
        };
        const auto own = []() -> Task<std::unique_ptr<int>> {
            co_return std::make_unique<int>(4);
        };
        auto [a, b, c, d, e] =
            co_await gather(give(1, 3), text(), nothing(), refer(), own());
        CHECK(a == 1);
        CHECK(b == "text");
        CHECK(c == std::monostate());
        d.get() = 5;
        CHECK(number == 5);
        CHECK(*e == 4);
    });
}

TEST_CASE("gather: coroutines that give nothing", "[gather]") {
    test::over_backends([]() -> Task<> {
        int done = 0;
        const auto count = [&]() -> Task<> {
            co_await checkpoint();
            ++done;
        };
        std::vector<Task<>> tasks;
        for (int i = 0; i < 3; ++i) {
            tasks.push_back(count());
        }
        co_await gather(std::move(tasks));
        CHECK(done == 3);
        std::vector<Task<>> more;
        more.push_back(count());
        const auto outcomes = co_await gather(return_exceptions, std::move(more));
        CHECK(outcomes.at(0).has_value());
    });
}

TEST_CASE(
    "patterns::test_gather_first_error_cancels_peers: an error ends the others at once",
    "[gather]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        std::vector<Task<int>> tasks;
        tasks.push_back(until_cancelled(cancelled));
        tasks.push_back(fail("x", 2));
        auto all = [&] {
            return gather(std::move(tasks));
        };
        CHECK_AWAITED(test::thrown_by(all), == "[x]");
        CHECK(cancelled == 1);
        cancelled = 0;
        auto both = [&] {
            return gather(until_cancelled(cancelled), fail("y"));
        };
        CHECK_AWAITED(test::thrown_by(both), == "[y]");
        CHECK(cancelled == 1);
    });
}

TEST_CASE("gather: all errors come out, those of the cleanup too", "[gather]") {
    test::over_backends([]() -> Task<> {
        auto both = [] {
            return gather(
                fail_when_cancelled("cleanup"), fail("first"), fail("second")
            );
        };
        CHECK_AWAITED(test::thrown_by(both), == "[first, second, cleanup]");
        Task<int> used = give(1);
        co_await std::move(used);
        auto again = [&] {
            return gather(std::move(used), give(2));  // NOLINT(bugprone-use-after-move)
        };
        CHECK_AWAITED(
            test::thrown_by(again), == "[a Task can be awaited once, and it has been]"
        );
    });
}

TEST_CASE(
    "patterns::test_gather_return_exceptions_true: errors are results beside values",
    "[gather]"
) {
    test::over_backends([]() -> Task<> {
        std::vector<Task<int>> tasks;
        tasks.push_back(give(1, 2));
        tasks.push_back(fail("b"));
        tasks.push_back(give(3));
        tasks.push_back(fail("d", 3));
        const std::vector<Outcome<int>> outcomes =
            co_await gather(return_exceptions, std::move(tasks));
        REQUIRE(outcomes.size() == 4);
        CHECK(outcomes[0].value() == 1);
        CHECK(test::in_words(outcomes[1].error()) == "b");
        CHECK(outcomes[2].value() == 3);
        CHECK(test::in_words(outcomes[3].error()) == "d");
    });
}

TEST_CASE(
    "patterns::test_gather_return_exceptions_preserves_order: the order is that of the "
    "coroutines, whichever ends first",
    "[gather]"
) {
    test::over_backends([]() -> Task<> {
        std::vector<Task<int>> tasks;
        for (int i = 0; i < 6; ++i) {
            tasks.push_back(
                i % 2 == 0 ? give(i, 6 - i) : fail(std::to_string(i), 6 - i)
            );
        }
        const auto outcomes = co_await gather(return_exceptions, std::move(tasks));
        for (int i = 0; i < 6; ++i) {
            const auto& outcome = outcomes.at(static_cast<std::size_t>(i));
            CHECK(outcome.has_value() == (i % 2 == 0));
            if (i % 2 == 0) {
                CHECK(outcome.value() == i);
            } else {
                CHECK(test::in_words(outcome.error()) == std::to_string(i));
            }
        }
    });
}

TEST_CASE("gather: outcomes of arguments, of one type or of several", "[gather]") {
    test::over_backends([]() -> Task<> {
        auto same = co_await gather(return_exceptions, give(1), fail("x"));
        CHECK(std::is_same_v<decltype(same), std::vector<Outcome<int>>>);
        CHECK(same.at(0).value() == 1);
        CHECK(test::in_words(same.at(1).error()) == "x");
        auto [number, none] = co_await gather(return_exceptions, fail("y"), nothing());
        CHECK(std::is_same_v<decltype(none), Outcome<void>>);
        CHECK(test::in_words(number.error()) == "y");
        CHECK(none.has_value());
    });
}

TEST_CASE("gather: a cancellation is never a result", "[gather]") {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        bool went_on = false;
        CancelScope scope;
        auto body = [&]() -> Task<> {
            std::vector<Task<int>> tasks;
            tasks.push_back(until_cancelled(cancelled));
            const auto cancel = [&]() -> Task<int> {
                co_await checkpoint();
                scope.cancel();
                co_return 1;
            };
            tasks.push_back(cancel());
            co_await gather(return_exceptions, std::move(tasks));
            went_on = true;
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(cancelled == 1);
        CHECK_FALSE(went_on);
        CHECK(scope.cancelled_caught());
        // Nor is one inside a group of exceptions.
        auto throws_group = []() -> Task<int> {
            throw concurrency::BaseExceptionGroup(
                "both",
                {std::make_exception_ptr(Cancelled()),
                 std::make_exception_ptr(std::runtime_error("x"))}
            );
            co_return 0;
        };
        auto all = [&] {
            return gather(return_exceptions, throws_group());
        };
        CHECK_AWAITED(test::thrown_by(all), == "[[x]]");
    });
}

TEST_CASE("gather: results that are there when it is cancelled are kept", "[gather]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        std::vector<int> results;
        auto body = [&]() -> Task<> {
            const auto cancel = [&]() -> Task<int> {
                scope.cancel();
                co_return 2;
            };
            std::vector<Task<int>> tasks;
            tasks.push_back(give(1));
            tasks.push_back(cancel());
            results = co_await gather(std::move(tasks));
            co_await checkpoint();
            results.clear();
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(results == std::vector<int>({1, 2}));
    });
}

TEST_CASE(
    "gather: in a cancelled scope each begins, and ends where it waits", "[gather]"
) {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        scope.cancel();
        int begun = 0;
        auto body = [&]() -> Task<> {
            const auto begin = [&]() -> Task<> {
                ++begun;
                co_await checkpoint();
                begun = 100;
            };
            co_await gather(begin(), begin());
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(begun == 2);
    });
}

TEST_CASE("gather: each is a task of its own", "[gather]") {
    test::over_backends([]() -> Task<> {
        concurrency::TaskLocal<int> value("value", 1);
        const auto host = concurrency::current_task();
        const auto look = [&]() -> Task<std::string> {
            const auto task = concurrency::current_task();
            CHECK(task.parent_id() == host.id());
            CHECK(value.get() == 2);
            value.set(3);
            const auto tasks = concurrency::get_running_tasks();
            CHECK(tasks.size() == 3);
            CHECK(tasks.front().where() == std::string("gather"));
            co_await checkpoint();
            co_return task.name();
        };
        value.set(2);
        const auto names = co_await gather(look(), look());
        CHECK(names == std::tuple<std::string, std::string>("gather[0]", "gather[1]"));
        CHECK(value.get() == 2);
    });
}

TEST_CASE("gather: one in another, a thousand at once", "[gather]") {
    test::over_backends([]() -> Task<> {
        const auto sum = [](int first) -> Task<int> {
            std::vector<Task<int>> tasks;
            for (int i = 0; i < 1000; ++i) {
                tasks.push_back(give(first + i, i % 3));
            }
            int result = 0;
            for (const int one : co_await gather(std::move(tasks))) {
                result += one;
            }
            co_return result;
        };
        const auto [a, b] = co_await gather(sum(0), sum(1000));
        CHECK(a == 499500);
        CHECK(b == 1499500);
    });
}

TEST_CASE("gather: one that is never awaited drops its coroutines", "[gather]") {
    const auto mark = std::make_shared<int>(0);
    const auto wait = [](std::shared_ptr<int>) -> Task<int> {
        co_await sleep_forever();
        co_return 1;
    };
    {
        std::vector<Task<int>> tasks;
        tasks.push_back(wait(mark));
        const auto all = gather(std::move(tasks));
        const auto both = gather(wait(mark), wait(mark));
        CHECK(mark.use_count() == 4);
    }
    CHECK(mark.use_count() == 1);
}

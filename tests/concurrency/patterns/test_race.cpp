// SPDX-License-Identifier: BSL-1.0
// race: the first that ends is the result.
#include "concurrency/cancel.hpp"
#include "concurrency/race.hpp"
#include "concurrency/running_tasks.hpp"
#include "small_tasks.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::race;
using concurrency::sleep_forever;
using concurrency::Task;
using test::fail;
using test::give;
using test::until_cancelled;

TEST_CASE(
    "patterns::test_race_requires_at_least_one: nobody cannot win a race", "[race]"
) {
    test::over_backends([]() -> Task<> {
        auto none = [] {
            return race(std::vector<Task<int>>());
        };
        CHECK_AWAITED(test::thrown_by(none), == "race() needs at least one task");
        bool is_value_error = false;
        try {
            co_await none();
        } catch (const concurrency::ValueError&) {
            is_value_error = true;
        }
        CHECK(is_value_error);
    });
}

TEST_CASE(
    "patterns::test_race_single_and_loser_cancelled: one alone wins, a slow one is "
    "cancelled",
    "[race]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(race(give(1, 2)), == 1);
        int cancelled = 0;
        CHECK_AWAITED(
            race(until_cancelled(cancelled), give(2, 2), until_cancelled(cancelled)),
            == 2
        );
        CHECK(cancelled == 2);
    });
}

TEST_CASE(
    "patterns::test_race_multiple_exceptions_vs_success: a value that comes first "
    "beats "
    "errors",
    "[race]"
) {
    test::over_backends([]() -> Task<> {
        CHECK_AWAITED(race(fail("a", 4), give(1, 1), fail("b", 3)), == 1);
        // Of those that never wait, the first one.
        CHECK_AWAITED(race(give(1), give(2), fail("c")), == 1);
    });
}

TEST_CASE(
    "patterns::test_race_first_failure_propagates: an error that comes first wins, as "
    "it is",
    "[race]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        auto racing = [&] {
            return race(until_cancelled(cancelled), fail("early", 1), give(1, 3));
        };
        CHECK_AWAITED(test::thrown_by(racing), == "early");
        CHECK(cancelled == 1);
    });
}

TEST_CASE(
    "patterns::test_race_all_failures_returns_first: of errors the first comes out",
    "[race]"
) {
    test::over_backends([]() -> Task<> {
        auto racing = [] {
            std::vector<Task<int>> tasks;
            tasks.push_back(fail("third", 3));
            tasks.push_back(fail("first", 1));
            tasks.push_back(fail("second", 2));
            return race(std::move(tasks));
        };
        CHECK_AWAITED(test::thrown_by(racing), == "first");
    });
}

TEST_CASE("race: what a loser does in its cleanup is dropped", "[race]") {
    test::over_backends([]() -> Task<> {
        const auto fails_late = []() -> Task<int> {
            try {
                co_await sleep_forever();
            } catch (const Cancelled&) {
                // and then:
            }
            throw std::runtime_error("cleanup");
        };
        const auto gives_late = []() -> Task<int> {
            try {
                co_await sleep_forever();
            } catch (const Cancelled&) {
                // and then:
            }
            co_return 5;
        };
        const auto throws_both = []() -> Task<int> {
            std::exception_ptr cancellation;
            try {
                co_await sleep_forever();
            } catch (const Cancelled&) {
                cancellation = std::current_exception();
            }
            throw concurrency::BaseExceptionGroup(
                "both",
                {cancellation, std::make_exception_ptr(std::runtime_error("cleanup"))}
            );
        };
        CHECK_AWAITED(
            race(fails_late(), gives_late(), throws_both(), give(1, 1)), == 1
        );
    });
}

TEST_CASE("race: losers are waited for", "[race]") {
    test::over_backends([]() -> Task<> {
        int ended = 0;
        const auto slow = [&]() -> Task<int> {
            CancelScope shield({.shield = true});
            auto work = [&]() -> Task<> {
                for (int i = 0; i < 5; ++i) {
                    co_await checkpoint();
                }
                ++ended;
            };
            co_await shield.run(work);
            co_return 2;
        };
        CHECK_AWAITED(race(slow(), give(1), slow()), == 1);
        CHECK(ended == 2);
    });
}

TEST_CASE("race: cancelled from outside there is no winner", "[race]") {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        bool went_on = false;
        CancelScope scope;
        auto body = [&]() -> Task<> {
            const auto cancel = [&]() -> Task<int> {
                co_await checkpoint();
                scope.cancel();
                co_await sleep_forever();
                co_return 0;
            };
            co_await race(until_cancelled(cancelled), cancel());
            went_on = true;
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(cancelled == 1);
        CHECK_FALSE(went_on);
    });
}

TEST_CASE("race: a cancellation that none of its scopes caused goes on", "[race]") {
    test::over_backends([]() -> Task<> {
        const auto give_up = []() -> Task<int> {
            throw Cancelled("by itself");
            co_return 0;
        };
        std::string reason;
        try {
            co_await race(give_up(), give_up());
        } catch (const Cancelled& cancelled) {
            reason = cancelled.reason();
        }
        CHECK(reason == "by itself");
        CHECK_AWAITED(race(give_up(), give(1)), == 1);
    });
}

TEST_CASE("race: of nothing, of references, of what can only be moved", "[race]") {
    test::over_backends([]() -> Task<> {
        int number = 1;
        const auto refer = [&]() -> Task<int&> {
            co_return number;
        };
        int& won = co_await race(refer(), refer());
        CHECK(&won == &number);
        const auto own = []() -> Task<std::unique_ptr<int>> {
            co_return std::make_unique<int>(4);
        };
        const auto owned = co_await race(own(), own());
        CHECK(*owned == 4);
        std::string order;
        const auto nothing = [&](char name, int waits) -> Task<> {
            for (int i = 0; i < waits; ++i) {
                co_await checkpoint();
            }
            order += name;
        };
        co_await race(nothing('a', 3), nothing('b', 1));
        CHECK(order == "b");
    });
}

TEST_CASE("race: one in another, each in a task of its own", "[race]") {
    test::over_backends([]() -> Task<> {
        const auto name = []() -> Task<std::string> {
            co_await checkpoint();
            CHECK(
                concurrency::get_running_tasks().front().where() == std::string("race")
            );
            co_return concurrency::current_task().name();
        };
        CHECK_AWAITED(race(name(), name()), == "race[0]");
        CHECK_AWAITED(
            race(race(give(1, 5), give(2, 4)), race(give(3, 3), give(4, 6))), == 3
        );
    });
}

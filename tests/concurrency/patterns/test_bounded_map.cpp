// SPDX-License-Identifier: BSL-1.0
// bounded_map: a coroutine function applied to many items, so many at a time.
#include "concurrency/bounded_map.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/local.hpp"
#include "concurrency/running_tasks.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using concurrency::bounded_map;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::return_exceptions;
using concurrency::sleep_forever;
using concurrency::Task;

namespace {

std::vector<int> numbers(int count) {
    std::vector<int> items(static_cast<std::size_t>(count));
    std::iota(items.begin(), items.end(), 0);
    return items;
}

Task<int> twice(int value) {
    for (int i = 0; i < value % 4; ++i) {
        co_await checkpoint();
    }
    co_return 2 * value;
}

}  // namespace

TEST_CASE(
    "patterns::test_bounded_map_empty_and_large_limit: no items, or fewer than might "
    "run",
    "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        const std::vector<int> none;
        CHECK_AWAITED(bounded_map(twice, none, 5), .empty());
        CHECK_AWAITED(bounded_map(return_exceptions, twice, none, 5), .empty());
        CHECK_AWAITED(
            bounded_map(twice, numbers(3), 1000), == std::vector<int>({0, 2, 4})
        );
    });
}

TEST_CASE(
    "patterns::test_bounded_map_invalid_limit: a limit is at least 1", "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        const std::string expected =
            "the limit of how many run at once is to be at least 1";
        for (const long limit : {0, -1}) {
            for (const int count : {0, 3}) {
                auto mapping = [&] {
                    return bounded_map(twice, numbers(count), limit);
                };
                CHECK_AWAITED(test::thrown_by(mapping), == expected);
                auto settling = [&] {
                    return bounded_map(return_exceptions, twice, numbers(count), limit);
                };
                CHECK_AWAITED(test::thrown_by(settling), == expected);
            }
        }
    });
}

TEST_CASE(
    "patterns::test_bounded_map_respects_limit: no more than the limit run at once, "
    "and "
    "the results have the order of the items",
    "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        int running = 0;
        int most = 0;
        int begun = 0;
        auto work = [&](int item) -> Task<int> {
            CHECK(item == begun++);  // in order
            most = std::max(most, ++running);
            for (int i = 0; i < 3 + item % 2; ++i) {
                co_await checkpoint();
            }
            --running;
            co_return item* item;
        };
        const auto results = co_await bounded_map(work, numbers(10), 3);
        CHECK(most == 3);
        for (int i = 0; i < 10; ++i) {
            CHECK(results.at(static_cast<std::size_t>(i)) == i * i);
        }
    });
}

TEST_CASE(
    "patterns::test_bounded_map_raises_and_cancels_others: an error ends what runs, "
    "and "
    "nothing more begins",
    "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        int begun = 0;
        int cancelled = 0;
        auto work = [&](int item) -> Task<> {
            ++begun;
            if (item == 2) {
                co_await checkpoint();
                throw std::runtime_error("boom");
            }
            try {
                co_await sleep_forever();
            } catch (const Cancelled&) {
                ++cancelled;
                throw;
            }
        };
        auto mapping = [&] {
            return bounded_map(work, numbers(10), 3);
        };
        CHECK_AWAITED(test::thrown_by(mapping), == "[boom]");
        CHECK(begun == 3);
        CHECK(cancelled == 2);
    });
}

TEST_CASE(
    "patterns::test_bounded_map_with_return_exceptions: errors are results at their "
    "places",
    "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        auto work = [](int item) -> Task<int> {
            co_await checkpoint();
            if (item % 3 == 0) {
                throw std::runtime_error(std::to_string(item));
            }
            co_return item;
        };
        const auto outcomes =
            co_await bounded_map(return_exceptions, work, numbers(10), 4);
        REQUIRE(outcomes.size() == 10);
        for (int i = 0; i < 10; ++i) {
            const auto& outcome = outcomes[static_cast<std::size_t>(i)];
            CHECK(outcome.has_value() == (i % 3 != 0));
            if (i % 3 == 0) {
                CHECK(test::in_words(outcome.error()) == std::to_string(i));
            } else {
                CHECK(outcome.value() == i);
            }
        }
    });
}

TEST_CASE(
    "patterns::test_bounded_map_preserves_order_property: the order holds for whatever "
    "items and limit",
    "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        std::minstd_rand random(1);
        for (int round = 0; round < 50; ++round) {
            std::vector<int> items(random() % 30);
            for (int& item : items) {
                item = static_cast<int>(random() % 1000);
            }
            std::vector<int> expected;
            for (const int item : items) {
                expected.push_back(2 * item);
            }
            const long limit = 1 + static_cast<long>(random() % 12);
            CHECK_AWAITED(bounded_map(twice, items, limit), == expected);
        }
    });
}

TEST_CASE("bounded_map: the items may be in any range", "[bounded_map]") {
    test::over_backends([]() -> Task<> {
        const std::list<int> list{1, 2, 3};
        CHECK_AWAITED(bounded_map(twice, list, 2), == std::vector<int>({2, 4, 6}));
        const std::array<int, 2> array{4, 5};
        CHECK_AWAITED(bounded_map(twice, array, 2), == std::vector<int>({8, 10}));
        std::vector<std::string> texts{"a", "b"};
        auto same = [](std::string text) -> Task<std::string> {
            co_return text;
        };
        const std::span<std::string> span(texts);
        CHECK_AWAITED(bounded_map(same, span, 2), == texts);
        CHECK(texts == std::vector<std::string>({"a", "b"}));
        const std::map<int, int> pairs{{1, 10}, {2, 20}};
        auto product = [](const std::pair<const int, int>& pair) -> Task<int> {
            co_return pair.first* pair.second;
        };
        CHECK_AWAITED(bounded_map(product, pairs, 2), == std::vector<int>({10, 40}));
        auto negation = [](bool bit) -> Task<bool> {
            co_return !bit;
        };
        const std::vector<bool> bits{true, false};
        CHECK_AWAITED(
            bounded_map(negation, bits, 2), == std::vector<bool>({false, true})
        );
    });
}

TEST_CASE("bounded_map: the items belong to what is called", "[bounded_map]") {
    test::over_backends([]() -> Task<> {
        std::vector<std::unique_ptr<int>> owned;
        owned.push_back(std::make_unique<int>(1));
        owned.push_back(std::make_unique<int>(2));
        auto take = [](std::unique_ptr<int> item) -> Task<int> {
            co_await checkpoint();
            co_return *item;
        };
        CHECK_AWAITED(
            bounded_map(take, std::move(owned), 1), == std::vector<int>({1, 2})
        );
        std::vector<std::string> texts{"a", "b"};
        auto change = [](std::string& text) -> Task<std::string> {
            co_await checkpoint();
            co_return text += '!';
        };
        const std::vector<std::string> changed{"a!", "b!"};
        CHECK_AWAITED(bounded_map(change, texts, 2), == changed);
        CHECK(texts == std::vector<std::string>({"a", "b"}));
    });
}

TEST_CASE("bounded_map: cancelled from outside it has no results", "[bounded_map]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        int begun = 0;
        bool went_on = false;
        auto work = [&](int item) -> Task<int> {
            ++begun;
            if (item == 3) {
                scope.cancel();  // and ends well
            }
            co_return item;
        };
        auto body = [&]() -> Task<> {
            co_await bounded_map(return_exceptions, work, numbers(10), 2);
            went_on = true;
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK_FALSE(went_on);
        CHECK(begun <= 5);
    });
}

TEST_CASE("bounded_map: in a cancelled scope nothing begins", "[bounded_map]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        scope.cancel();
        int begun = 0;
        auto work = [&](int) -> Task<> {
            ++begun;
            co_return;
        };
        auto body = [&] {
            return bounded_map(work, numbers(3), 2);
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(begun == 0);
    });
}

TEST_CASE(
    "bounded_map: what a call throws at once is its item's error", "[bounded_map]"
) {
    test::over_backends([]() -> Task<> {
        auto work = [](int item) -> Task<int> {
            if (item == 1) {
                throw std::runtime_error("no coroutine");
            }
            return twice(item);
        };
        const auto outcomes =
            co_await bounded_map(return_exceptions, work, numbers(3), 1);
        CHECK(outcomes.at(0).value() == 0);
        CHECK(test::in_words(outcomes.at(1).error()) == "no coroutine");
        CHECK(outcomes.at(2).value() == 4);
    });
}

TEST_CASE("bounded_map: each item has a task of its own", "[bounded_map]") {
    test::over_backends([]() -> Task<> {
        concurrency::TaskLocal<int> value("value", 1);
        const auto host = concurrency::current_task();
        auto work = [&](int item) -> Task<> {
            const auto task = concurrency::current_task();
            CHECK(task.name() == "bounded_map[" + std::to_string(item) + "]");
            CHECK(task.parent_id() == host.id());
            // Not that of the item before.
            CHECK(value.get() == 1);
            value.set(2);
            CHECK(
                concurrency::get_running_tasks().front().where() ==
                std::string("bounded_map")
            );
            co_return;
        };
        co_await bounded_map(work, numbers(5), 1);
        CHECK(value.get() == 1);
    });
}

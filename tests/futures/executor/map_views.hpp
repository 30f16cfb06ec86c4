// SPDX-License-Identifier: BSL-1.0
// What map() goes through, in any pool: views, and ranges without end; and its results
// as a range.
#pragma once

#include "futures/executor/map_inputs.hpp"

// Older clang cannot read the views of libstdc++.
#if !defined(__clang__) || __clang_major__ >= 16
#include <ranges>
#define HAS_VIEWS 1
#else
#define HAS_VIEWS 0
#endif

#if HAS_VIEWS

namespace test::map_inputs {

namespace views = std::views;

static_assert(std::ranges::input_range<futures::MapResults<int>>);
static_assert(std::ranges::input_range<futures::MapResults<std::unique_ptr<int>>>);

template <class Map>
void all_views(const Map& map) {
    const auto odd = [](int x) {
        return x % 2 != 0;
    };
    const Ints xs{1, 2, 3};
    CHECK(map(twice, xs | views::filter(odd)) == Ints{2, 6});
    auto filtered = xs | views::filter(odd);
    CHECK(map(twice, filtered) == Ints{2, 6});
    CHECK(map(twice, xs | views::transform(twice)) == Ints{4, 8, 12});
    CHECK(map(twice, xs | views::reverse | views::drop(1)) == Ints{4, 2});
    CHECK(map(twice, views::iota(0, 3)) == Ints{0, 2, 4});
    CHECK(map(twice, views::iota(0) | views::take(3)) == Ints{0, 2, 4});
    CHECK(map(add, views::iota(0), xs) == Ints{1, 3, 5});
    CHECK(map(twice, views::single(4)) == Ints{8});
    CHECK(map(twice, Ints{1, 2} | views::filter(odd)) == Ints{2});  // owns its items

    std::istringstream numbers("1 2 3");
    CHECK(map(twice, views::istream<int>(numbers)) == Ints{2, 4, 6});
    std::istringstream words("a bb");
    CHECK(map(length, views::istream<std::string>(words)) == Ints{1, 2});

    const std::vector<Ints> nested{{1}, {2, 3}};
    CHECK(map(twice, nested | views::join) == Ints{2, 4, 6});
    const auto repeat = [](int n) {
        return Ints(static_cast<std::size_t>(n), n);
    };
    CHECK(
        map(twice, views::iota(1, 3) | views::transform(repeat) | views::join) ==
        Ints{2, 4, 4}
    );
    const std::map<int, std::string> texts{{1, "a"}, {2, "bb"}};
    CHECK(map(twice, texts | views::keys) == Ints{2, 4});
    CHECK(map(length, texts | views::values) == Ints{1, 2});
}

template <class Map>
void moving_views(const Map& map) {
    std::vector<std::unique_ptr<int>> items;
    items.push_back(std::make_unique<int>(1));
    items.push_back(std::make_unique<int>(2));
    CHECK(map(value, items | views::transform([](auto& one) -> std::unique_ptr<int>&& {
                         return std::move(one);
                     })) == Ints{1, 2});
    CHECK(items.front() == nullptr);

    // A view is a temporary, its items are not.
    std::vector<std::string> texts{"a", "bb"};
    CHECK(map(length, views::all(texts)) == Ints{1, 2});
    CHECK(map(length, std::span(texts)) == Ints{1, 2});
    CHECK(texts == std::vector<std::string>{"a", "bb"});
}

template <class Map>
void proxies_of_a_view(const Map& map) {
    const Ints as{1, 2, 3};
    const Ints bs{10, 20, 30};
    const auto pairs =
        views::iota(std::size_t{0}, as.size()) | views::transform([&](std::size_t i) {
            return std::pair<const int&, const int&>(as[i], bs[i]);
        });
    const auto sum = [](std::pair<int, int> pair) {
        return pair.first + pair.second;
    };
    CHECK(map(sum, pairs) == Ints{11, 22, 33});
}

template <class Pool>
void without_end(Pool& pool) {
    Ints got;
    for (const int x : pool.map({.buffersize = 3}, twice, views::iota(0))) {
        got.push_back(x);
        if (x == 10) {
            break;
        }
    }
    CHECK(got == Ints{0, 2, 4, 6, 8, 10});
}

template <class Pool>
void results_as_a_range(Pool& pool) {
    Ints got;
    for (const int x : pool.map(twice, {1, 2, 3}) | views::transform(twice)) {
        got.push_back(x);
    }
    CHECK(got == Ints{4, 8, 12});
    CHECK(
        pool.map(twice, pool.map({.buffersize = 1}, twice, {1, 2, 3})).to_vector() ==
        Ints{4, 8, 12}
    );
}

}  // namespace test::map_inputs

#endif

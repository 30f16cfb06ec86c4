// SPDX-License-Identifier: BSL-1.0
// What map() goes through, in any pool: containers, lists in braces, proxies, input
// iterators; and its results as a container.
#pragma once

#include "futures/executor.hpp"

#include "support/catch.hpp"

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace test::elsewhere {

/// Its begin() and end() are no members.
struct Three {
    std::array<int, 3> items{1, 2, 3};
};

inline const int* begin(const Three& three) {
    return three.items.data();
}

inline const int* end(const Three& three) {
    return three.items.data() + three.items.size();
}

}  // namespace test::elsewhere

namespace test::map_inputs {

using futures::MapOptions;
using Ints = std::vector<int>;

inline int twice(int x) {
    return 2 * x;
}

inline int add(int a, int b) {
    return a + b;
}

inline int add3(int a, int b, int c) {
    return a + b + c;
}

inline int one_if(bool b) {
    return b ? 1 : 0;
}

inline int length(const std::string& text) {
    return static_cast<int>(text.size());
}

inline int of_item(const std::pair<const int, std::string>& item) {
    return item.first + length(item.second);
}

inline int of_pair(std::pair<int, std::string> pair) {
    return pair.first + length(pair.second);
}

inline std::pair<const int, std::string> item(int n) {
    return {n, std::to_string(n)};
}

inline int refuse_3(int x) {
    if (x == 3) {
        throw std::domain_error("three");
    }
    return x;
}

inline void nothing(int) {}

inline std::vector<MapOptions> all_options() {
    return {{}, {.chunksize = 2}, {.buffersize = 2}, {.chunksize = 3, .buffersize = 4}};
}

/// Its iterator has what a for statement needs, and nothing else.
struct CountTo3 {
    struct Iterator {
        int n;

        int operator*() const { return n; }

        Iterator& operator++() {
            ++n;
            return *this;
        }

        bool operator!=(const Iterator& other) const { return n != other.n; }
    };

    Iterator begin() const { return {1}; }

    Iterator end() const { return {4}; }
};

/// Makes items that cannot be copied, in one place, and moves them out.
class Generator {
public:
    explicit Generator(int end) : end_(end) {}

    class Iterator {
    public:
        using value_type = std::unique_ptr<int>;
        using difference_type = std::ptrdiff_t;

        explicit Iterator(Generator* generator) : generator_(generator) {}

        Iterator(Iterator&&) = default;
        Iterator& operator=(Iterator&&) = default;

        value_type&& operator*() const { return std::move(generator_->value_); }

        Iterator& operator++() {
            generator_->make_next();
            return *this;
        }

        void operator++(int) { ++*this; }

        bool operator==(std::default_sentinel_t) const {
            return generator_->n_ == generator_->end_;
        }

    private:
        Generator* generator_;
    };

    Iterator begin() {
        value_ = std::make_unique<int>(n_);
        return Iterator(this);
    }

    std::default_sentinel_t end() const { return {}; }

private:
    void make_next() { value_ = std::make_unique<int>(++n_); }

    int n_ = 0;
    int end_;
    std::unique_ptr<int> value_;
};

inline int value(std::unique_ptr<int> unique) {
    return *unique;
}

/// Calls `test` with what calls the pool's map(), with each kind of options.
template <class Pool, class Test>
void in_each_way(Pool& pool, Test&& test) {
    for (const MapOptions& options : all_options()) {
        test([&](auto&& fn, auto&&... ranges) {
            return pool
                .map(
                    options,
                    std::forward<decltype(fn)>(fn),
                    std::forward<decltype(ranges)>(ranges)...
                )
                .to_vector();
        });
    }
}

template <class Pool>
void gives_all(Pool& pool) {
    const Ints xs{1, 2, 3};
    std::vector v = pool.map(twice, xs).to_vector();
    static_assert(std::is_same_v<decltype(v), Ints>);
    CHECK(v == Ints{2, 4, 6});
    std::vector flags =
        pool.map({.chunksize = 2}, std::logical_not<bool>(), {true, false}).to_vector();
    static_assert(std::is_same_v<decltype(flags), std::vector<bool>>);
    CHECK(flags == std::vector<bool>{false, true});
    std::vector nothings = pool.map(nothing, xs).to_vector();
    static_assert(std::is_same_v<decltype(nothings), std::vector<std::monostate>>);
    CHECK(nothings.size() == 3);
    CHECK(pool.map(twice, Ints()).to_vector().empty());

    CHECK(pool.map(twice, xs).template to<std::set>() == std::set<int>{2, 4, 6});
    CHECK(
        pool.map(twice, xs).template to<std::deque<long>>() == std::deque<long>{2, 4, 6}
    );
    CHECK(pool.map(item, xs).template to<std::map<int, std::string>>().at(2) == "2");
}

template <class Pool>
void gives_what_is_left(Pool& pool) {
    auto results = pool.map(twice, {1, 2, 3});
    auto it = results.begin();
    CHECK(results.to_vector() == Ints{2, 4, 6});
    CHECK(results.to_vector().empty());

    auto others = pool.map({.buffersize = 1}, twice, {1, 2, 3});
    it = others.begin();
    CHECK(*it == 2);
    CHECK(others.to_vector() == Ints{4, 6});
}

template <class Pool>
void throws_the_first(Pool& pool) {
    for (const MapOptions& options : all_options()) {
        auto results = pool.map(options, refuse_3, Ints{1, 2, 3, 4, 5, 6, 7});
        CHECK_THROWS_AS(results.to_vector(), std::domain_error);
        CHECK(results.begin() == results.end());
    }
    CHECK(pool.submit(twice, 1).result() == 2);
}

template <class Pool>
void items_in_braces(Pool& pool) {
    const Ints xs{1, 2, 3};
    CHECK(pool.map(twice, {1, 2, 3}).to_vector() == Ints{2, 4, 6});
    CHECK(pool.map(add, {1, 2, 3}, {10, 20}).to_vector() == Ints{11, 22});
    CHECK(pool.map(add3, {1, 2}, {1, 1}, {5, 5}).to_vector() == Ints{7, 8});
    CHECK(pool.map({.chunksize = 2}, twice, {1, 2, 3}).to_vector() == Ints{2, 4, 6});
    CHECK(pool.map({.buffersize = 1}, add, {1, 2}, {3, 4}).to_vector() == Ints{4, 6});
    CHECK(pool.map(add, xs, {10, 20}).to_vector() == Ints{11, 22});
    CHECK(pool.map(add, {10, 20}, xs).to_vector() == Ints{11, 22});
    CHECK(pool.map(add3, xs, {1, 1}, {5, 5}).to_vector() == Ints{7, 8});
    CHECK(pool.map({.chunksize = 2}, add, xs, {1, 2, 3}).to_vector() == Ints{2, 4, 6});
    CHECK(pool.map({.chunksize = 2}, add, {1, 2, 3}, xs).to_vector() == Ints{2, 4, 6});
    CHECK(pool.map(length, {"a", "bb"}).to_vector() == Ints{1, 2});
    CHECK(
        pool.map(length, {std::string("a"), std::string()}).to_vector() == Ints{1, 0}
    );
    CHECK(pool.map(one_if, {true, false, true}).to_vector() == Ints{1, 0, 1});
    const MapOptions options{.chunksize = 2};
    CHECK(pool.map(options, add, {1, 2, 3}, {1, 2}).to_vector() == Ints{2, 4});
    const auto named = {4, 5};
    CHECK(pool.map(twice, named).to_vector() == Ints{8, 10});

    // The items live on when the statement that named them is over.
    auto later = pool.map(
        {.buffersize = 1}, length, {std::string(100, 'x'), std::string(200, 'y')}
    );
    CHECK(later.to_vector() == Ints{100, 200});
}

template <class Map>
void items_of_a_map(const Map& map) {
    const std::map<int, std::string> texts{{1, "a"}, {2, "bb"}, {3, "ccc"}};
    CHECK(map(of_item, texts) == Ints{2, 4, 6});
    CHECK(map(of_pair, texts) == Ints{2, 4, 6});
    CHECK(map([](const auto& each) { return each.first; }, texts) == Ints{1, 2, 3});
    CHECK(map(of_item, std::map<int, std::string>{{7, "a"}}) == Ints{8});
    CHECK(map(of_pair, std::map<int, std::string>{{7, "a"}}) == Ints{8});
    const std::vector items = map(item, Ints{1, 2});
    CHECK(items.back().second == "2");
}

template <class Map>
void containers(const Map& map) {
    const int array[] = {1, 2, 3};
    const Ints xs{1, 2, 3};
    CHECK(map(twice, array) == Ints{2, 4, 6});
    CHECK(map(twice, std::set<int>{3, 1}) == Ints{2, 6});
    CHECK(map(twice, std::list<short>{1, 2}) == Ints{2, 4});
    CHECK(map(twice, std::span(xs)) == Ints{2, 4, 6});
    CHECK(map(twice, std::array<int, 2>{5, 6}) == Ints{10, 12});
    CHECK(map(add, xs, std::array<int, 2>{5, 6}) == Ints{6, 8});
    CHECK(map(add, Ints(), xs).empty());
    CHECK(map(length, std::vector<const char*>{"a", "bb"}) == Ints{1, 2});
    CHECK(map(twice, elsewhere::Three()) == Ints{2, 4, 6});
    CHECK(map(twice, CountTo3()) == Ints{2, 4, 6});
}

template <class Map>
void proxies(const Map& map) {
    std::vector<bool> bits{true, false, true};
    CHECK(map(one_if, bits) == Ints{1, 0, 1});
    CHECK(map(one_if, std::as_const(bits)) == Ints{1, 0, 1});
    CHECK(map(one_if, std::vector<bool>{false, true}) == Ints{0, 1});
    CHECK(map([](auto bit) { return bit ? 1 : 0; }, bits) == Ints{1, 0, 1});
}

template <class Map>
void once_only(const Map& map) {
    std::istringstream numbers("1 2 3");
    struct Numbers {
        std::istream_iterator<int> first;

        auto begin() const { return first; }

        auto end() const { return std::istream_iterator<int>(); }
    };
    CHECK(map(twice, Numbers{std::istream_iterator<int>(numbers)}) == Ints{2, 4, 6});
    CHECK(map(value, Generator(4)) == Ints{0, 1, 2, 3});
    Generator generator(3);
    CHECK(map(value, generator) == Ints{0, 1, 2});
}

template <class Pool>
void throwing_range(Pool& pool) {
    struct Throws : CountTo3 {
        struct Iterator : CountTo3::Iterator {
            int operator*() const {
                return n == 3 ? throw std::range_error("three") : n;
            }
        };

        Iterator begin() const { return {{1}}; }

        Iterator end() const { return {{4}}; }
    };
    CHECK_THROWS_AS(pool.map(twice, Throws()), std::range_error);
    auto results = pool.map({.buffersize = 1}, twice, Throws());
    auto it = results.begin();
    CHECK(*it == 2);
    ++it;
    CHECK(*it == 4);
    ++it;
    CHECK_THROWS_AS(*it, std::range_error);
    ++it;
    CHECK(it == results.end());
}

}  // namespace test::map_inputs

// SPDX-License-Identifier: BSL-1.0
// What map() goes through, in both pools: containers, lists in braces, proxies, views,
// input iterators, ranges without end; and its results as a container.
#include "futures/executor.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/timeout.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
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

// Older clang cannot read the views of libstdc++.
#if !defined(__clang__) || __clang_major__ >= 16
#include <ranges>
#define HAS_VIEWS 1
#else
#define HAS_VIEWS 0
#endif

using namespace std::chrono_literals;
using futures::MapOptions;
using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using Ints = std::vector<int>;

namespace {

int twice(int x) {
    return 2 * x;
}

int add(int a, int b) {
    return a + b;
}

int add3(int a, int b, int c) {
    return a + b + c;
}

int one_if(bool b) {
    return b ? 1 : 0;
}

int length(const std::string& text) {
    return static_cast<int>(text.size());
}

int of_item(const std::pair<const int, std::string>& item) {
    return item.first + length(item.second);
}

int of_pair(std::pair<int, std::string> pair) {
    return pair.first + length(pair.second);
}

std::pair<const int, std::string> item(int n) {
    return {n, std::to_string(n)};
}

int refuse_3(int x) {
    if (x == 3) {
        throw std::domain_error("three");
    }
    return x;
}

void nothing(int) {}

std::vector<MapOptions> all_options() {
    return {{}, {.chunksize = 2}, {.buffersize = 2}, {.chunksize = 3, .buffersize = 4}};
}

/// Calls `test` with a thread pool, and with a process pool of each start method.
template <class Test>
void in_each_pool(Test&& test) {
    if (GENERATE(true, false)) {
        ThreadPoolExecutor pool(2);
        test(pool);
    } else {
        ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
        test(pool);
    }
}

/// The same, with all kinds of options.
template <class Test>
void in_each_way(Test&& test) {
    in_each_pool([&](auto& pool) {
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
    });
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

int value(std::unique_ptr<int> unique) {
    return *unique;
}

}  // namespace

namespace elsewhere {

/// Its begin() and end() are no members.
struct Three {
    std::array<int, 3> items{1, 2, 3};
};

const int* begin(const Three& three) {
    return three.items.data();
}

const int* end(const Three& three) {
    return three.items.data() + three.items.size();
}

}  // namespace elsewhere

TEST_CASE("map: to_vector() gives all results, with their type", "[map]") {
    in_each_pool([](auto& pool) {
        const Ints xs{1, 2, 3};
        std::vector v = pool.map(twice, xs).to_vector();
        static_assert(std::is_same_v<decltype(v), Ints>);
        CHECK(v == Ints{2, 4, 6});
        std::vector flags =
            pool.map({.chunksize = 2}, std::logical_not<bool>(), {true, false})
                .to_vector();
        static_assert(std::is_same_v<decltype(flags), std::vector<bool>>);
        CHECK(flags == std::vector<bool>{false, true});
        std::vector nothings = pool.map(nothing, xs).to_vector();
        static_assert(std::is_same_v<decltype(nothings), std::vector<std::monostate>>);
        CHECK(nothings.size() == 3);
        CHECK(pool.map(twice, Ints()).to_vector().empty());

        CHECK(pool.map(twice, xs).template to<std::set>() == std::set<int>{2, 4, 6});
        CHECK(
            pool.map(twice, xs).template to<std::deque<long>>() ==
            std::deque<long>{2, 4, 6}
        );
        CHECK(
            pool.map(item, xs).template to<std::map<int, std::string>>().at(2) == "2"
        );
    });
}

TEST_CASE("map: to_vector() gives the results that are left", "[map]") {
    in_each_pool([](auto& pool) {
        auto results = pool.map(twice, {1, 2, 3});
        auto it = results.begin();
        CHECK(results.to_vector() == Ints{2, 4, 6});
        CHECK(results.to_vector().empty());

        auto others = pool.map({.buffersize = 1}, twice, {1, 2, 3});
        it = others.begin();
        CHECK(*it == 2);
        CHECK(others.to_vector() == Ints{4, 6});
    });
}

TEST_CASE("map: to_vector() throws the first exception and ends the range", "[map]") {
    in_each_pool([](auto& pool) {
        for (const MapOptions& options : all_options()) {
            auto results = pool.map(options, refuse_3, Ints{1, 2, 3, 4, 5, 6, 7});
            CHECK_THROWS_AS(results.to_vector(), std::domain_error);
            CHECK(results.begin() == results.end());
        }
        CHECK(pool.submit(twice, 1).result() == 2);
    });
}

TEST_CASE("map: items in braces, where Python has lists", "[map]") {
    in_each_pool([](auto& pool) {
        const Ints xs{1, 2, 3};
        CHECK(pool.map(twice, {1, 2, 3}).to_vector() == Ints{2, 4, 6});
        CHECK(pool.map(add, {1, 2, 3}, {10, 20}).to_vector() == Ints{11, 22});
        CHECK(pool.map(add3, {1, 2}, {1, 1}, {5, 5}).to_vector() == Ints{7, 8});
        CHECK(
            pool.map({.chunksize = 2}, twice, {1, 2, 3}).to_vector() == Ints{2, 4, 6}
        );
        CHECK(
            pool.map({.buffersize = 1}, add, {1, 2}, {3, 4}).to_vector() == Ints{4, 6}
        );
        CHECK(pool.map(add, xs, {10, 20}).to_vector() == Ints{11, 22});
        CHECK(pool.map(add, {10, 20}, xs).to_vector() == Ints{11, 22});
        CHECK(pool.map(add3, xs, {1, 1}, {5, 5}).to_vector() == Ints{7, 8});
        CHECK(
            pool.map({.chunksize = 2}, add, xs, {1, 2, 3}).to_vector() == Ints{2, 4, 6}
        );
        CHECK(
            pool.map({.chunksize = 2}, add, {1, 2, 3}, xs).to_vector() == Ints{2, 4, 6}
        );
        CHECK(pool.map(length, {"a", "bb"}).to_vector() == Ints{1, 2});
        CHECK(
            pool.map(length, {std::string("a"), std::string()}).to_vector() ==
            Ints{1, 0}
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
    });
}

TEST_CASE("map: the items of a map", "[map]") {
    const std::map<int, std::string> texts{{1, "a"}, {2, "bb"}, {3, "ccc"}};
    in_each_way([&](const auto& map) {
        CHECK(map(of_item, texts) == Ints{2, 4, 6});
        CHECK(map(of_pair, texts) == Ints{2, 4, 6});
        CHECK(map([](const auto& each) { return each.first; }, texts) == Ints{1, 2, 3});
        CHECK(map(of_item, std::map<int, std::string>{{7, "a"}}) == Ints{8});
        CHECK(map(of_pair, std::map<int, std::string>{{7, "a"}}) == Ints{8});
        const std::vector items = map(item, Ints{1, 2});
        CHECK(items.back().second == "2");
    });
}

TEST_CASE("map: containers and arrays", "[map]") {
    in_each_way([](const auto& map) {
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
    });
}

TEST_CASE("map: items that are proxies", "[map]") {
    in_each_way([](const auto& map) {
        std::vector<bool> bits{true, false, true};
        CHECK(map(one_if, bits) == Ints{1, 0, 1});
        CHECK(map(one_if, std::as_const(bits)) == Ints{1, 0, 1});
        CHECK(map(one_if, std::vector<bool>{false, true}) == Ints{0, 1});
        CHECK(map([](auto bit) { return bit ? 1 : 0; }, bits) == Ints{1, 0, 1});
    });
}

TEST_CASE("map: a range that can be gone through once", "[map]") {
    in_each_way([](const auto& map) {
        std::istringstream numbers("1 2 3");
        struct Numbers {
            std::istream_iterator<int> first;

            auto begin() const { return first; }

            auto end() const { return std::istream_iterator<int>(); }
        };
        CHECK(
            map(twice, Numbers{std::istream_iterator<int>(numbers)}) == Ints{2, 4, 6}
        );
        CHECK(map(value, Generator(4)) == Ints{0, 1, 2, 3});
        Generator generator(3);
        CHECK(map(value, generator) == Ints{0, 1, 2});
    });
}

TEST_CASE("map: what a range throws comes from map(), or after the results", "[map]") {
    struct Throws : CountTo3 {
        struct Iterator : CountTo3::Iterator {
            int operator*() const {
                return n == 3 ? throw std::range_error("three") : n;
            }
        };

        Iterator begin() const { return {{1}}; }

        Iterator end() const { return {{4}}; }
    };
    in_each_pool([](auto& pool) {
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
    });
}

#if HAS_VIEWS

namespace views = std::views;

static_assert(std::ranges::input_range<futures::MapResults<int>>);
static_assert(std::ranges::input_range<futures::MapResults<std::unique_ptr<int>>>);

TEST_CASE("map: views", "[map]") {
    in_each_way([](const auto& map) {
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
        CHECK(
            map(twice, Ints{1, 2} | views::filter(odd)) == Ints{2}
        );  // owns its items

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
    });
}

TEST_CASE("map: a view that moves items out, and one that shows them", "[map]") {
    in_each_way([](const auto& map) {
        std::vector<std::unique_ptr<int>> items;
        items.push_back(std::make_unique<int>(1));
        items.push_back(std::make_unique<int>(2));
        CHECK(
            map(value,
                items | views::transform([](auto& one) -> std::unique_ptr<int>&& {
                    return std::move(one);
                })) == Ints{1, 2}
        );
        CHECK(items.front() == nullptr);

        // A view is a temporary, its items are not.
        std::vector<std::string> texts{"a", "bb"};
        CHECK(map(length, views::all(texts)) == Ints{1, 2});
        CHECK(map(length, std::span(texts)) == Ints{1, 2});
        CHECK(texts == std::vector<std::string>{"a", "bb"});
    });
}

TEST_CASE("map: items that are proxies of a view", "[map]") {
    const Ints as{1, 2, 3};
    const Ints bs{10, 20, 30};
    in_each_way([&](const auto& map) {
        const auto pairs = views::iota(std::size_t{0}, as.size()) |
                           views::transform([&](std::size_t i) {
                               return std::pair<const int&, const int&>(as[i], bs[i]);
                           });
        const auto sum = [](std::pair<int, int> pair) {
            return pair.first + pair.second;
        };
        CHECK(map(sum, pairs) == Ints{11, 22, 33});
    });
}

TEST_CASE("map: a range without end, taken as far as one likes", "[map]") {
    in_each_pool([](auto& pool) {
        Ints got;
        for (const int x : pool.map({.buffersize = 3}, twice, views::iota(0))) {
            got.push_back(x);
            if (x == 10) {
                break;
            }
        }
        CHECK(got == Ints{0, 2, 4, 6, 8, 10});
    });
}

TEST_CASE("map: its results are a range for views", "[map]") {
    in_each_pool([](auto& pool) {
        Ints got;
        for (const int x : pool.map(twice, {1, 2, 3}) | views::transform(twice)) {
            got.push_back(x);
        }
        CHECK(got == Ints{4, 8, 12});
        CHECK(
            pool.map(twice, pool.map({.buffersize = 1}, twice, {1, 2, 3}))
                .to_vector() == Ints{4, 8, 12}
        );
    });
}

#endif

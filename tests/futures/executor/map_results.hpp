// SPDX-License-Identifier: BSL-1.0
// What the results of map() are in any pool: their order, their errors, and what
// becomes of them; and what chunks change.
#pragma once

#include "futures/errors.hpp"
#include "futures/executor.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"

#include <array>
#include <cstddef>
#include <forward_list>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace test::map_results {

inline int inverse(int x) {
    if (x == 0) {
        throw std::domain_error("1/0");
    }
    return 100 / x;
}

inline std::string joined(int n, const std::string& s, int w) {
    return std::to_string(n) + s + std::to_string(w);
}

inline int one_if(bool bit) {
    return bit ? 1 : 0;
}

inline std::unique_ptr<int> unique(int x) {
    return std::make_unique<int>(x);
}

inline int ring_and_return(const std::string& bell, int x) {
    test::ring(bell);
    return x;
}

template <class Results>
auto all_of(Results&& results) {
    std::vector<typename std::remove_cvref_t<Results>::value_type> values;
    for (auto&& value : results) {
        values.push_back(std::move(value));
    }
    return values;
}

template <class Pool>
void any_ranges(Pool& pool) {
    const std::array<int, 3> a{1, 2, 3};
    std::forward_list<std::string> b{"x", "yy", "zzz", "more"};
    std::istringstream words("10 20 30");
    struct Input {
        std::istream_iterator<int> begin() const { return first; }

        std::istream_iterator<int> end() const { return {}; }

        std::istream_iterator<int> first;
    };
    CHECK(
        all_of(pool.map(joined, a, b, Input{std::istream_iterator<int>(words)})) ==
        std::vector<std::string>{"1x10", "2yy20", "3zzz30"}
    );
    CHECK(all_of(pool.map(inverse, std::vector<int>{})).empty());
    const std::vector<bool> bits{true, false};
    CHECK(all_of(pool.map(one_if, bits)) == std::vector<int>{1, 0});
}

template <class Pool>
void no_results(Pool& pool) {
    const test::Gate bell;
    CHECK(all_of(pool.map(test::ring, std::vector(3, bell.path()))).size() == 3);
    CHECK(bell.wait_for(3));
    CHECK(!bell.has_one());
}

template <class Pool>
void only_moved(Pool& pool) {
    auto results = pool.map(unique, std::vector{1, 2});
    std::vector<std::unique_ptr<int>> taken;
    for (auto&& result : results) {
        taken.push_back(std::move(result));
    }
    REQUIRE(taken.size() == 2);
    CHECK(*taken[1] == 2);
}

template <class Pool>
void passed_without_a_look(Pool& pool) {
    for (const int size : {1, 2, 3, 7}) {
        auto results =
            pool.map({.chunksize = size}, inverse, std::vector{1, 0, 2, 4, 5});
        auto it = results.begin();
        ++it;
        ++it;
        CHECK(*it == 50);
        ++it;
        ++it;
        CHECK(*it == 20);
        ++it;
        CHECK(it == results.end());
        ++it;
        CHECK_THROWS_AS(*it, futures::InvalidStateError);
    }
}

template <class Pool>
void refused_on_the_way(Pool& pool) {
    auto results = pool.map({.buffersize = 2}, inverse, std::vector{1, 2, 4, 5});
    auto it = results.begin();
    CHECK(*it == 100);
    pool.shutdown();
    ++it;
    CHECK(*it == 50);
    ++it;
    CHECK(*it == 25);
    ++it;
    CHECK_THROWS_AS(*it, mp::StateError);
    ++it;
    CHECK(it == results.end());
}

/// `submitted()`: how many tasks the pool was given so far.
template <class Pool, class Submitted>
void chunks_and_a_failure(Pool& pool, Submitted submitted) {
    const std::vector<int> input{1, 2, 0, 4, 5, 10, 20};
    for (const int size : {1, 2, 3, 7, 100}) {
        const auto before = submitted();
        auto results = pool.map({.chunksize = size}, inverse, input);
        CHECK(submitted() - before == (7 + size - 1) / size);
        std::vector<int> values;
        int failed = 0;
        for (auto it = results.begin(); it != results.end(); ++it) {
            try {
                values.push_back(*it);
            } catch (const std::domain_error&) {
                ++failed;
            }
        }
        CHECK(values == std::vector<int>{100, 50, 25, 20, 10, 5});
        CHECK(failed == 1);
    }
    CHECK_THROWS_AS(pool.map({.chunksize = 0}, inverse, input), std::invalid_argument);
}

/// As above.
template <class Pool, class Submitted>
void buffer_of_items(Pool& pool, Submitted submitted) {
    const std::vector<int> input(20, 5);
    const auto before = submitted();
    auto results = pool.map({.chunksize = 3, .buffersize = 7}, inverse, input);
    CHECK(submitted() - before == 2);
    auto it = results.begin();
    CHECK(*it == 20);
    ++it;
    CHECK(*it == 20);
    CHECK(submitted() - before == 3);
    CHECK(all_of(std::move(results)).size() == 19);
    CHECK(submitted() - before == 7);
    auto small = pool.map({.chunksize = 10, .buffersize = 1}, inverse, input);
    CHECK(all_of(std::move(small)).size() == 20);
}

/// Requires: one worker, which takes one task at a time.
template <class Pool>
void moved_and_replaced(Pool& pool) {
    const test::Gate bell;
    const test::Gate gate;
    const auto blocked = pool.submit(test::pass, gate.path());
    const std::vector bells(3, bell.path());
    auto results = pool.map(ring_and_return, bells, std::vector{1, 2, 3});
    auto moved = std::move(results);
    // This cancels the first three.
    moved = pool.map(ring_and_return, bells, std::vector{4});
    gate.open(1);
    CHECK(all_of(std::move(moved)) == std::vector<int>{4});
    pool.shutdown();
    CHECK(bell.wait_for(1));
    CHECK(!bell.has_one());
}

}  // namespace test::map_results

// SPDX-License-Identifier: BSL-1.0
// The rows of CPython's tests that every executor goes through: submit() and map().
// What runs in a worker is a function whose arguments can travel; gates are FIFOs.
#pragma once

#include "futures/executor.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"

#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace test::executor_rows {

using namespace std::chrono_literals;

inline int power(int base, int exponent) {
    return static_cast<int>(std::lround(std::pow(base, exponent)));
}

inline std::pair<int, int> divmod(int a, int b) {
    if (b == 0) {
        throw std::domain_error("division by zero");
    }
    return {a / b, a % b};
}

struct Factors {
    int self = 0;
    int fn = 0;
};

inline int product(const Factors& factors) {
    return factors.self * factors.fn;
}

inline int identity(int x) {
    return x;
}

inline std::string text_of_number(int x) {
    return std::to_string(x);
}

/// Its own TimeoutError, which has nothing to do with map()'s.
inline int time_out_at_1(int x) {
    if (x == 1) {
        throw futures::TimeoutError("mine");
    }
    return x;
}

/// Waits at the gate, unless `x` is 0.
inline int pass_unless_0(const std::string& gate, int x) {
    if (x != 0) {
        test::pass(gate);
    }
    return x;
}

/// The same; tells that it has begun.
inline int
ring_and_pass_unless_0(const std::string& bell, const std::string& gate, int x) {
    test::ring(bell);
    return pass_unless_0(gate, x);
}

template <class Results>
auto list_of(Results&& results) {
    std::vector<typename std::remove_cvref_t<Results>::value_type> values;
    for (auto&& value : results) {
        values.push_back(std::move(value));
    }
    return values;
}

/// 0, 1, 2 ... without end; counts how many were fetched.
class Numbers {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using reference = int;
        using pointer = const int*;

        explicit Iterator(int* fetched) : fetched_(fetched) { ++*fetched_; }

        int operator*() const { return at_; }

        Iterator& operator++() {
            ++*fetched_;
            ++at_;
            return *this;
        }

        void operator++(int) { ++*this; }

        bool operator==(std::default_sentinel_t) const { return false; }

    private:
        int* fetched_;
        int at_ = 0;
    };

    explicit Numbers(int& fetched) : fetched_(&fetched) {}

    Iterator begin() const { return Iterator(fetched_); }

    std::default_sentinel_t end() const { return {}; }

private:
    int* fetched_;
};

template <class Pool>
void submit(Pool& pool) {
    CHECK(pool.submit(power, 2, 8).result() == 256);
}

template <class Pool>
void submit_keyword(Pool& pool) {
    CHECK(pool.submit(product, Factors{.self = 2, .fn = 21}).result() == 42);
}

template <class Pool>
void map(Pool& pool) {
    std::vector<int> numbers;
    std::vector<int> powers;
    for (int i = 0; i < 10; ++i) {
        numbers.push_back(i);
        powers.push_back(power(i, i));
    }
    CHECK(list_of(pool.map(power, numbers, numbers)) == powers);
    CHECK(list_of(pool.map({.chunksize = 3}, power, numbers, numbers)) == powers);
}

template <class Pool>
void map_exception(Pool& pool) {
    auto results = pool.map(divmod, std::vector{1, 1, 1, 1}, std::vector{2, 3, 0, 5});
    auto it = results.begin();
    CHECK(*it == std::pair(0, 1));
    ++it;
    CHECK(*it == std::pair(0, 1));
    ++it;
    CHECK_THROWS_AS(*it, std::domain_error);
    ++it;
    CHECK(*it == std::pair(0, 1));
    ++it;
    CHECK(it == results.end());
    ++it;
    CHECK(it == results.end());
}

/// `enough`: for two calls that do nothing.
template <class Pool>
void map_timeout(Pool& pool, std::chrono::milliseconds enough) {
    const test::Gate gate;
    auto results = pool.map(
        {.timeout = enough},
        pass_unless_0,
        std::vector<std::string>(3, gate.path()),
        std::vector{0, 0, 6}
    );
    auto it = results.begin();
    CHECK(*it == 0);
    ++it;
    CHECK(*it == 0);
    ++it;
    CHECK_THROWS_AS(*it, futures::TimeoutError);
    CHECK(it == results.end());
    gate.open(1);
    pool.shutdown();
}

template <class Pool>
void map_timeout_from_callable(Pool& pool) {
    for (const mp::Timeout timeout : {mp::Timeout(mp::forever), mp::Timeout(1h)}) {
        auto results =
            pool.map({.timeout = timeout}, time_out_at_1, std::vector{0, 1, 2});
        auto it = results.begin();
        CHECK(*it == 0);
        ++it;
        try {
            static_cast<void>(*it);
            FAIL_CHECK("no exception");
        } catch (const futures::TimeoutError& error) {
            CHECK(std::string(error.what()) == "mine");
        }
        ++it;
        CHECK(*it == 2);
        ++it;
        CHECK(it == results.end());
    }
}

/// Requires: one worker, which takes one task at a time.
template <class Pool>
void map_close(Pool& pool) {
    const test::Gate bell;
    const test::Gate gate;
    auto results = pool.map(
        ring_and_pass_unless_0,
        std::vector<std::string>(5, bell.path()),
        std::vector<std::string>(5, gate.path()),
        std::vector{0, 1, 2, 3, 4}
    );
    auto it = results.begin();
    CHECK(*it == 0);
    results.close();
    CHECK(it == results.end());
    CHECK_THROWS_AS(*it, futures::InvalidStateError);
    gate.open(1);
    pool.shutdown();
    int ran = 0;
    while (bell.has_one()) {
        ++ran;
    }
    CHECK(ran >= 1);
    CHECK(ran <= 2);  // the second may have begun
}

template <class Pool>
void map_buffersize_value_validation(Pool& pool) {
    for (const int size : {0, -1}) {
        CHECK_THROWS_WITH(
            pool.map({.buffersize = size}, power, std::vector{1}, std::vector{1}),
            test::ContainsSubstring("buffersize must be nothing or greater than 0")
        );
        CHECK_THROWS_AS(
            pool.map({.buffersize = size}, power, std::vector{1}, std::vector{1}),
            std::invalid_argument
        );
    }
}

template <class Pool>
void map_buffersize(Pool& pool) {
    const std::vector<int> numbers{0, 1, 2, 3};
    for (const int size : {1, 2, 4, 8}) {
        CHECK(
            list_of(pool.map({.buffersize = size}, text_of_number, numbers)) ==
            std::vector<std::string>{"0", "1", "2", "3"}
        );
    }
}

template <class Pool>
void map_buffersize_on_multiple_iterables(Pool& pool) {
    const std::vector<int> numbers{0, 1, 2, 3};
    for (const int size : {1, 2, 4, 8}) {
        CHECK(
            list_of(pool.map({.buffersize = size}, std::plus<int>(), numbers, numbers)
            ) == std::vector{0, 2, 4, 6}
        );
    }
}

template <class Pool>
void map_buffersize_on_infinite_iterable(Pool& pool) {
    int fetched = 0;
    auto results = pool.map({.buffersize = 2}, text_of_number, Numbers(fetched));
    auto it = results.begin();
    for (const char* expected : {"0", "1", "2"}) {
        CHECK(*it == expected);
        ++it;
    }
}

template <class Pool>
void map_buffersize_on_multiple_infinite_iterables(Pool& pool) {
    int fetched = 0;
    auto results = pool.map(
        {.buffersize = 2}, std::plus<int>(), Numbers(fetched), Numbers(fetched)
    );
    auto it = results.begin();
    for (const int expected : {0, 2, 4}) {
        CHECK(*it == expected);
        ++it;
    }
}

template <class Pool>
void map_buffersize_on_empty_iterable(Pool& pool) {
    CHECK(
        list_of(pool.map({.buffersize = 8}, text_of_number, std::vector<int>())).empty()
    );
}

template <class Pool>
void map_buffersize_when_buffer_is_full(Pool& pool) {
    int fetched = 0;
    const auto results = pool.map({.buffersize = 2}, identity, Numbers(fetched));
    pool.shutdown();
    CHECK(fetched == 2);
}

template <class Pool>
void map_buffersize_moves_on(Pool& pool) {
    int fetched = 0;
    auto results = pool.map({.buffersize = 3}, identity, Numbers(fetched));
    CHECK(fetched == 3);
    auto it = results.begin();
    CHECK(*it == 0);
    CHECK(fetched == 4);
    CHECK_THROWS_AS(
        pool.map({.buffersize = 0}, power, std::vector{1}, std::vector{1}),
        std::invalid_argument
    );
}

template <class Pool>
void map_submits_without_iteration(Pool& pool) {
    const test::Gate bell;
    const auto results = pool.map(test::ring, std::vector(10, bell.path()));
    pool.shutdown();
    CHECK(bell.wait_for(10));
    CHECK(!bell.has_one());
}

/// Requires: one worker, which takes one task at a time.
template <class Pool>
void map_current_future_cancel(Pool& pool) {
    const test::Gate bell;
    const test::Gate gate;
    pool.submit(test::pass, gate.path());
    auto results = pool.map({.timeout = 0s}, test::ring, std::vector(3, bell.path()));
    auto it = results.begin();
    CHECK_THROWS_AS(*it, futures::TimeoutError);
    results.close();
    gate.open(1);
    pool.shutdown();
    CHECK(!bell.has_one());
}

}  // namespace test::executor_rows

// SPDX-License-Identifier: BSL-1.0
// Zip: the items of several ranges side by side.
// Python:  zip()
// Differs: an item is made only when it is asked for, and at_end() can be asked first.
// Threads: one.
#pragma once

#include <cstddef>
#include <iterator>
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures::detail {

template <class Range>
using RangeIterator =
    decltype(std::begin(std::declval<std::remove_reference_t<Range>&>()));

template <class Range>
using RangeValue = std::iter_value_t<RangeIterator<Range>>;

/// The items of several ranges side by side, as Python's zip(): the shortest ends it.
/// Ranges that were given as temporaries live in it.
template <class... Ranges>
class Zip {
public:
    using Item = std::tuple<RangeValue<Ranges>...>;

    explicit Zip(Ranges&&... ranges)
        : ranges_(std::forward<Ranges>(ranges)...),
          iterators_(std::apply(
              [](auto&... range) { return std::tuple(std::begin(range)...); }, ranges_
          )) {}

    /// The iterators point into it.
    Zip(const Zip&) = delete;
    Zip& operator=(const Zip&) = delete;
    ~Zip() = default;

    bool at_end() {
        go_on();
        return at_end(std::index_sequence_for<Ranges...>());
    }

    /// Requires: not at the end.
    Item next() {
        go_on();
        taken_ = true;
        // In braces: from left to right.
        return std::apply([](auto&... it) { return Item{*it...}; }, iterators_);
    }

private:
    /// Past what was taken; not before the next is wanted, because a range may make its
    /// items on the way.
    void go_on() {
        if (std::exchange(taken_, false)) {
            std::apply([](auto&... it) { (static_cast<void>(++it), ...); }, iterators_);
        }
    }

    template <std::size_t... I>
    bool at_end(std::index_sequence<I...>) {
        return ((std::get<I>(iterators_) == std::end(std::get<I>(ranges_))) || ...);
    }

    std::tuple<Ranges...> ranges_;  // references stay references
    std::tuple<RangeIterator<Ranges>...> iterators_;
    bool taken_ = false;  // the items that the iterators stand on
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// Zip: the items of several ranges side by side.
// Python:  zip()
// Differs: an item is made only when it is asked for, and at_end() can be asked first.
//          Items of a range that was given away are given away, too.
// Threads: one.
#pragma once

#include "futures/detail/copying.hpp"

#include <concepts>
#include <cstddef>
#include <iterator>
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// begin() and end() as a for statement finds them.
namespace range_ends {

using std::begin;
using std::end;

template <class R>
concept StandardRange = requires(R& range) {
    std::begin(range);
    std::end(range);
};

template <class R>
concept Range = StandardRange<R> || requires(R& range) {
    begin(range);
    end(range);
};

template <Range R>
constexpr auto begin_of(R& range) {
    if constexpr (StandardRange<R>) {
        return std::begin(range);
    } else {
        return begin(range);
    }
}

template <Range R>
constexpr auto end_of(R& range) {
    if constexpr (StandardRange<R>) {
        return std::end(range);
    } else {
        return end(range);
    }
}

}  // namespace range_ends

template <class Range>
using RangeIterator =
    decltype(range_ends::begin_of(std::declval<std::remove_reference_t<Range>&>()));

template <class Range>
using RangeReference = decltype(*std::declval<RangeIterator<Range>&>());

template <class Iterator>
struct IteratorValue {
    using type = std::remove_cvref_t<decltype(*std::declval<Iterator&>())>;
};
template <std::indirectly_readable Iterator>
struct IteratorValue<Iterator> {
    using type = std::iter_value_t<Iterator>;
};

template <class Range>
using RangeValue = std::remove_cv_t<typename IteratorValue<RangeIterator<Range>>::type>;

/// Its iterators give references to values that stay where they are.
template <class Range>
concept ShowsValues = std::is_lvalue_reference_v<RangeReference<Range>> &&
    std::same_as<std::remove_cvref_t<RangeReference<Range>>, RangeValue<Range>>;

/// A container that was given as a temporary, so that its items are nobody else's. A
/// view says by `const` nothing about its items, so it does not own them.
template <class Range>
concept GivenAway = !std::is_reference_v<Range> && ShowsValues<Range> &&
                    !std::is_const_v<std::remove_reference_t<RangeReference<Range>>> &&
                    requires(const Range& range) {
    { *std::begin(range) } -> std::same_as<const RangeValue<Range>&>;
};

/// What next() gives of a range: its value, made of what the iterator stands on, if it
/// can be made.
template <class Range>
constexpr auto item_of_range() {
    using Value = RangeValue<Range>;
    constexpr bool stays =
        ShowsValues<Range> && std::forward_iterator<RangeIterator<Range>>;
    if constexpr (GivenAway<Range> && std::move_constructible<Value>) {
        return std::type_identity<Value>();
    } else if constexpr (stays && copying<Value> != Copying::works) {
        return std::type_identity<const Value&>();
    } else {
        static_assert(
            !std::is_lvalue_reference_v<RangeReference<Range>> ||
                copying<Value> != Copying::fails,
            "the items of this range cannot be copied, and it shows one after the "
            "other in the same place: let its iterator move them out"
        );
        return std::type_identity<Value>();
    }
}

template <class Range>
using RangeItem = typename decltype(item_of_range<Range>())::type;

/// A call in this process can have the item: it is a value, or can be copied.
template <class Item>
inline constexpr bool is_copied =
    !std::is_reference_v<Item> || copying<std::remove_cvref_t<Item>> != Copying::fails;

/// The items of several ranges side by side, as Python's zip(): the shortest ends it.
/// Ranges that were given as temporaries live in it.
template <class... Ranges>
class Zip {
public:
    /// References are to what lives in the ranges.
    using Item = std::tuple<RangeItem<Ranges>...>;

    explicit Zip(Ranges&&... ranges)
        : ranges_(std::forward<Ranges>(ranges)...),
          iterators_(std::apply(
              [](auto&... range) { return Iterators{range_ends::begin_of(range)...}; },
              ranges_
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
        return std::apply(
            [](auto&... it) { return Item{item_at<Ranges>(it)...}; }, iterators_
        );
    }

private:
    using Iterators = std::tuple<RangeIterator<Ranges>...>;

    template <class Range>
    static RangeItem<Range> item_at(RangeIterator<Range>& it) {
        if constexpr (GivenAway<Range> && !std::is_reference_v<RangeItem<Range>>) {
            return std::move(*it);
        } else {
            return static_cast<RangeItem<Range>>(*it);
        }
    }

    /// Past what was taken; not before the next is wanted, because a range may make its
    /// items on the way.
    void go_on() {
        if (std::exchange(taken_, false)) {
            std::apply([](auto&... it) { (static_cast<void>(++it), ...); }, iterators_);
        }
    }

    template <std::size_t... I>
    bool at_end(std::index_sequence<I...>) {
        // Not by ==, which an iterator for a for statement need not have.
        return (
            !(std::get<I>(iterators_) != range_ends::end_of(std::get<I>(ranges_))) ||
            ...
        );
    }

    std::tuple<Ranges...> ranges_;  // references stay references
    Iterators iterators_;
    bool taken_ = false;  // the items that the iterators stand on
};

}  // namespace futures::detail

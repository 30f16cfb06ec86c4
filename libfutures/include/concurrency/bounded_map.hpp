// SPDX-License-Identifier: BSL-1.0
// bounded_map: a coroutine function applied to many items, so many at a time.
// Python:  lionpride.libs.concurrency.bounded_map.
// Differs: an item's task begins when there is room for it, instead of waiting in a
//          queue; return_exceptions is a tag in front.
// Threads: a task of a loop.
// Throws:  ExceptionGroup with what failed; ValueError for a limit below 1; Cancelled,
//          for a cancellation from outside.
// Read next: concurrency/detail/pattern_task.hpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/group_state.hpp"
#include "concurrency/detail/pattern_task.hpp"
#include "concurrency/gather.hpp"
#include "concurrency/outcome.hpp"

#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrency {

namespace detail {

[[noreturn]] void throw_limit_below_one();

/// Calls fn with the item moved in, or as it lies if it wants a reference to change.
template <class Fn, class Item>
auto call_with_item(Fn& fn, Item& item) {
    if constexpr (std::is_invocable_v<Fn&, Item&&>) {
        return std::invoke(fn, std::move(item));
    } else {
        return std::invoke(fn, item);
    }
}

template <class Items>
using ItemOf = std::remove_cvref_t<decltype(*std::begin(std::declval<Items&>()))>;

/// The items of a range; a vector of bool has no items to refer to.
template <class Item>
using Copied =
    std::conditional_t<std::is_same_v<Item, bool>, std::deque<Item>, std::vector<Item>>;

template <class Fn, class Item>
using MappedTo =
    typename decltype(call_with_item(std::declval<Fn&>(), std::declval<Item&>())
    )::value_type;

/// Whether this deduced type is a container that the caller gives away, whose items may
/// be moved; a view refers to those of others.
template <class Items>
inline constexpr bool is_given_away = requires {
    typename Items::allocator_type;
};

template <class Items>
Copied<ItemOf<Items>> copy_items(Items&& items) {
    using Kept = Copied<ItemOf<Items>>;
    if constexpr (std::is_same_v<Items, Kept>) {
        return std::forward<Items>(items);
    } else {
        Kept kept;
        for (auto&& item : items) {
            if constexpr (is_given_away<Items>) {
                kept.push_back(std::move(item));
            } else {
                kept.push_back(std::forward<decltype(item)>(item));
            }
        }
        return kept;
    }
}

template <class Fn, class Item>
class Mapped {
public:
    using T = MappedTo<Fn, Item>;

    static constexpr const char* pattern = "bounded_map";

    Mapped(Fn& fn, Copied<Item>& items, bool errors_too)
        : fn_(fn), items_(items), outcomes_(items.size()), keeping_(errors_too) {}

    void start_in(GroupBlock& block, std::size_t limit) {
        crew_.emplace(block, *this, items_.size());
        crew_->start(limit);
    }

    Task<T> open(std::size_t index) {
        this_task().check_cancelled();
        return call_with_item(fn_, items_[index]);
    }

    std::exception_ptr close(std::size_t index, Outcome<T> outcome) noexcept {
        return keeping_(outcomes_[index], std::move(outcome));
    }

    std::exception_ptr start_next() noexcept { return crew_->start_next(); }

    void check() { keeping_.check(); }

    std::vector<std::optional<Outcome<T>>>& outcomes() noexcept { return outcomes_; }

private:
    Fn& fn_;
    Copied<Item>& items_;
    std::vector<std::optional<Outcome<T>>> outcomes_;
    Keeping keeping_;
    std::optional<Crew<T, Mapped>> crew_;
};

template <class Fn, class Item>
Task<> map_all(Mapped<Fn, Item>& mapped, long limit) {
    if (limit < 1) {
        throw_limit_below_one();
    }
    if (mapped.outcomes().empty()) {
        co_return;
    }
    GroupBlock block(this_task());
    mapped.start_in(block, static_cast<std::size_t>(limit));
    while (block.has_tasks()) {
        GroupBlock::Rest rest(block, "bounded_map");
        co_await rest;
    }
    block.leave();
    mapped.check();
}

template <class Fn, class Item>
auto map_to_values(Fn fn, Copied<Item> items, long limit) -> Task<std::conditional_t<
    std::is_void_v<MappedTo<Fn, Item>>,
    void,
    std::vector<Value<MappedTo<Fn, Item>>>>> {
    Mapped<Fn, Item> mapped(fn, items, false);
    co_await map_all(mapped, limit);
    if constexpr (!std::is_void_v<MappedTo<Fn, Item>>) {
        co_return values_of(mapped.outcomes());
    }
}

template <class Fn, class Item>
auto map_to_outcomes(Fn fn, Copied<Item> items, long limit)
    -> Task<std::vector<Outcome<MappedTo<Fn, Item>>>> {
    Mapped<Fn, Item> mapped(fn, items, true);
    co_await map_all(mapped, limit);
    co_return all_of(mapped.outcomes());
}

/// As check_awaited_callable(), for items: of class types only aggregates suffer.
template <class Items>
constexpr void check_awaited_items() {
    static_assert(
        is_safe_in_await<Items> || !std::is_aggregate_v<Items>,
        "g++ 12 destroys twice what an aggregate inside co_await holds: give it a name "
        "first (auto items = std::array{...}; co_await bounded_map(f, items, 3);)"
    );
}

}  // namespace detail

/// Awaits fn(item) for each item of a range, each in a task of its own and at most
/// `limit` at once, and gives what they return, in the order of the items; nothing, if
/// that is Task<void>. The items are read when it is called, those of a named range
/// copied; fn gets an item that is its own. When one fails, those that run are
/// cancelled and no more are begun; the errors come out as an ExceptionGroup. Without
/// items it does not suspend. Throws ValueError for a limit below 1.
template <class Fn, class Items>
auto bounded_map(Fn&& fn, Items&& items, long limit) {
    detail::check_awaited_callable<Fn>();
    detail::check_awaited_items<Items>();
    return detail::map_to_values<std::decay_t<Fn>, detail::ItemOf<Items>>(
        std::forward<Fn>(fn), detail::copy_items(std::forward<Items>(items)), limit
    );
}

/// The same with an Outcome of each item: an error ends nothing, and is a result. A
/// cancellation never is: it ends all of them, and goes on.
template <class Fn, class Items>
auto bounded_map(ReturnExceptions, Fn&& fn, Items&& items, long limit) {
    detail::check_awaited_callable<Fn>();
    detail::check_awaited_items<Items>();
    return detail::map_to_outcomes<std::decay_t<Fn>, detail::ItemOf<Items>>(
        std::forward<Fn>(fn), detail::copy_items(std::forward<Items>(items)), limit
    );
}

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
// MapCheck: whether map() can call a function with the items of these ranges, and if
// not, why not: for the same reasons as submit().
// Python:  none, because what does not fit is found when it is called.
// Differs: nothing to differ from.
// Threads: any; types only.
#pragma once

#include "futures/detail/future_arguments.hpp"
#include "futures/detail/zip.hpp"
#include "mp/detail/refusal.hpp"

#include <type_traits>

namespace futures::detail {

/// Zip can go through it.
template <class Range>
concept ZipRange = range_ends::Range<std::remove_reference_t<Range>>;

struct NoRange {
    static constexpr auto refusal = mp::detail::Refusal::not_a_range;
    static constexpr auto refusal_with_result = refusal;
    using Result = mp::detail::Refused;
};

/// Futures whose values the call cannot have.
template <mp::detail::Refusal why>
struct RefusedItem {
    static constexpr auto refusal = why;
    static constexpr auto refusal_with_result = why;
    using Result = mp::detail::Refused;
};

/// An item as submit() would see it: there may be other handles of a future that is
/// not given away.
template <class Range>
using ItemArgument = std::conditional_t<
    GivenAway<Range>,
    RangeItem<Range>,
    const std::remove_cvref_t<RangeItem<Range>>&>;

/// Some of these are ranges of futures, of which the call gets the values.
template <FuturesTravel travel, class Fn, class... Ranges>
constexpr bool awaits_items() {
    if constexpr (sizeof...(Ranges) == 0 || !(ZipRange<Ranges> && ...)) {
        return false;
    } else if constexpr ((FutureArgument<RangeItem<Ranges>> || ...)) {
        return FutureArguments<travel, const Fn&, ItemArgument<Ranges>...>::any;
    } else {
        return false;
    }
}

/// The call of one item. `Call` is what submit() asks: mp::detail::CallTraits where
/// items travel, LocalCall where they stay.
template <
    template <class, class...>
    class Call,
    FuturesTravel travel,
    class Fn,
    class... Ranges>
constexpr auto call_of_item() {
    if constexpr (sizeof...(Ranges) == 0 || !(ZipRange<Ranges> && ...)) {
        return std::type_identity<NoRange>();
    } else if constexpr (awaits_items<travel, Fn, Ranges...>()) {
        using Futures = FutureArguments<travel, const Fn&, ItemArgument<Ranges>...>;
        if constexpr (Futures::refusal != mp::detail::Refusal::none) {
            return std::type_identity<RefusedItem<Futures::refusal>>();
        } else {
            return std::type_identity<typename Futures::template Call<Call>>();
        }
    } else {
        return std::type_identity<Call<const Fn&, RangeItem<Ranges>...>>();
    }
}

template <
    template <class, class...>
    class Call,
    FuturesTravel travel,
    class Fn,
    class... Ranges>
using MapCheck = typename decltype(call_of_item<Call, travel, Fn, Ranges...>())::type;

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// MapCheck: whether map() can call a function with the items of these ranges, and if
// not, why not: for the same reasons as submit().
// Python:  none, because what does not fit is found when it is called.
// Differs: nothing to differ from.
// Threads: any; types only.
#pragma once

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

/// The call of one item. `Call` is what submit() asks: mp::detail::CallTraits where
/// items travel, LocalCall where they stay.
template <template <class...> class Call, class Fn, class... Ranges>
constexpr auto call_of_item() {
    if constexpr (sizeof...(Ranges) == 0 || !(ZipRange<Ranges> && ...)) {
        return std::type_identity<NoRange>();
    } else {
        return std::type_identity<Call<const Fn&, RangeItem<Ranges>...>>();
    }
}

template <template <class...> class Call, class Fn, class... Ranges>
using MapCheck = typename decltype(call_of_item<Call, Fn, Ranges...>())::type;

}  // namespace futures::detail

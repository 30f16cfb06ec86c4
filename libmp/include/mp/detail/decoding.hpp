// SPDX-License-Identifier: BSL-1.0
// blank: how a value is made that is about to be decoded. A lock, made as such, would
// first take shared memory for nothing; a blank one takes none.
// Python:  object.__new__, with which pickle makes what __setstate__ fills.
#pragma once

#include <tuple>
#include <type_traits>

namespace mp::detail {

/// Handles of shared things have a constructor for this: the handle of nothing, to be
/// read into.
struct Blank {};

template <class T>
inline constexpr bool has_blank = std::is_constructible_v<T, Blank>;

template <class T>
T blank() {
    if constexpr (has_blank<T>) {
        return T(Blank());
    } else {
        return T{};
    }
}

template <class... T>
std::tuple<T...> blank_tuple() {
    // Else nothing need be movable.
    if constexpr ((has_blank<T> || ...)) {
        return std::tuple<T...>(blank<T>()...);
    } else {
        return std::tuple<T...>{};
    }
}

}  // namespace mp::detail

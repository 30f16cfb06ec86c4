// SPDX-License-Identifier: BSL-1.0
// decoding: how a value is made that is about to be decoded. A lock, made in the
// ordinary way, would first take shared memory for nothing; one made with this tag
// takes none.
// Python:  object.__new__, with which pickle makes what __setstate__ fills.
#pragma once

#include <tuple>
#include <type_traits>

namespace mp::detail {

/// Handles of shared things have a constructor for this: the handle of nothing, to be
/// read into.
struct Decoding {};

template <class T>
inline constexpr bool has_decoding_constructor = std::is_constructible_v<T, Decoding>;

template <class T>
T make_for_decoding() {
    if constexpr (has_decoding_constructor<T>) {
        return T(Decoding());
    } else {
        return T{};
    }
}

template <class... T>
std::tuple<T...> make_tuple_for_decoding() {
    // Else nothing need be movable.
    if constexpr ((has_decoding_constructor<T> || ...)) {
        return std::tuple<T...>(make_for_decoding<T>()...);
    } else {
        return std::tuple<T...>{};
    }
}

}  // namespace mp::detail

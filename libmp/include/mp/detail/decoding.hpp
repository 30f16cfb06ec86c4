// SPDX-License-Identifier: BSL-1.0
// decoding: how a value is made that is about to be decoded. A lock, made in the
// ordinary way, would first take shared memory for nothing; one made with this tag
// takes none.
// Python:  object.__new__, with which pickle makes what __setstate__ fills.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

namespace mp::detail {

/// Handles of shared things have a constructor for this: the handle of nothing, to be
/// read into.
struct Decoding {};

template <class T>
inline constexpr bool has_decoding_constructor = std::is_constructible_v<T, Decoding>;

/// What is read where a T is wanted: of an item of a map, whose key is constant, a pair
/// that can be read into. Their bytes are the same.
template <class T>
struct DecodedType {
    using type = T;
};
template <class K, class V>
struct DecodedType<std::pair<const K, V>> {
    using type = std::pair<K, V>;
};

template <class T>
using DecodedAs = typename DecodedType<T>::type;

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

// SPDX-License-Identifier: BSL-1.0
// Archivable: the types whose values can travel to another process.
// Python:  none, because pickle finds out by trying.
// Differs: known when compiling, so that a call that cannot work does not compile.
// Threads: any; nothing here exists at run time.
#pragma once

#include "mp/detail/archive_kind.hpp"

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace mp {

namespace detail {

template <class T>
constexpr bool archivable_by_default();

}  // namespace detail

/// Specialise to overrule what `Archivable` thinks of a type: false for one that must
/// not travel, true for one that may in spite of its looks.
template <class T>
inline constexpr bool is_archivable = detail::archivable_by_default<T>();

/// Values of T can travel to another process. False for pointers and views, which would
/// dangle there, for closures with captures, std::function and the like, and for
/// standard containers of those. Any other class counts as archivable: that its
/// serialize() is missing shows when it is used.
template <class T>
concept Archivable = !std::is_reference_v<T> && !std::is_void_v<T> &&
                     !std::is_volatile_v<T> && is_archivable<std::remove_cv_t<T>>;

namespace detail {

template <class T, std::size_t... I>
constexpr bool members_archivable(std::index_sequence<I...>) {
    return (Archivable<std::tuple_element_t<I, T>> && ...);
}

template <class T>
inline constexpr bool alternatives_archivable = false;
template <class... T>
inline constexpr bool
    alternatives_archivable<std::variant<T...>> = (Archivable<T> && ...);

template <class T>
constexpr bool archivable_by_default() {
    constexpr Kind kind = kind_of<T>();
    if constexpr (kind == Kind::none || std::is_pointer_v<T>) {
        return false;
    } else if constexpr (std::is_array_v<T>) {
        return Archivable<std::remove_extent_t<T>>;
    } else if constexpr (kind == Kind::map) {
        return Archivable<typename T::key_type> && Archivable<typename T::mapped_type>;
    } else if constexpr (kind == Kind::array || kind == Kind::sequence || kind == Kind::set || kind == Kind::optional) {
        return Archivable<typename T::value_type>;
    } else if constexpr (kind == Kind::owner) {
        return Archivable<typename T::element_type>;
    } else if constexpr (kind == Kind::tuple) {
        return members_archivable<T>(std::make_index_sequence<std::tuple_size_v<T>>());
    } else if constexpr (kind == Kind::variant) {
        return alternatives_archivable<T>;
    } else {
        return true;
    }
}

}  // namespace detail
}  // namespace mp

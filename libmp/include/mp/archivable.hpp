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

template <class T, class... Around>
constexpr bool archivable_inside();

/// What is_archivable says of a type that nobody has specialised it for; only asked
/// when used, as a struct may hold containers of itself.
template <class T>
struct ArchivableByDefault {
    constexpr operator bool() const { return archivable_inside<T>(); }
};

}  // namespace detail

/// Specialise as a bool to overrule what `Archivable` thinks of a type: false for one
/// that must not travel, true for one that may in spite of its looks.
template <class T>
inline constexpr detail::ArchivableByDefault<T> is_archivable{};

/// Values of T can travel to another process. False for pointers and views, which would
/// dangle there, for closures with captures, std::function and the like, and for
/// standard containers and plain structs of those. Any other class counts as
/// archivable: that its serialize() is missing shows when it is used.
template <class T>
concept Archivable =
    !std::is_reference_v<T> && !std::is_void_v<T> && !std::is_volatile_v<T> &&
    static_cast<bool>(is_archivable<std::remove_cv_t<T>>);

namespace detail {

template <class T>
inline constexpr bool is_overruled =
    !std::is_same_v<decltype(is_archivable<T>), const ArchivableByDefault<T>>;

template <class T, class Outermost, class... Around>
inline constexpr bool is_any_of = std::is_same_v<T, Outermost> ||
                                  (std::is_same_v<T, Around> || ...);

/// A value of type T that stands in one of all the types Around.
template <class T, class... Around>
constexpr bool part_archivable() {
    if constexpr (std::is_reference_v<T> || std::is_void_v<T> || std::is_volatile_v<T>) {
        return false;
    } else if constexpr (std::is_const_v<T>) {
        return part_archivable<std::remove_const_t<T>, Around...>();
    } else if constexpr (is_overruled<T>) {
        return is_archivable<T>;
    } else if constexpr (is_any_of<T, Around...>) {
        return true;
    } else {
        return archivable_inside<T, Around...>();
    }
}

template <class Outer, class... Around, class... Parts>
constexpr bool parts_archivable(TypeList<Parts...>) {
    return (part_archivable<Parts, Outer, Around...>() && ...);
}

template <class T>
struct AlternativesOf;
template <class... T>
struct AlternativesOf<std::variant<T...>> {
    using Types = TypeList<T...>;
};

template <class T, std::size_t... I>
TypeList<std::tuple_element_t<I, T>...> elements_of(std::index_sequence<I...>);

template <class T, class... Around>
constexpr bool archivable_inside() {
    constexpr Kind kind = kind_of<T>();
    if constexpr (kind == Kind::none || std::is_pointer_v<T>) {
        return false;
    } else if constexpr (std::is_array_v<T>) {
        return part_archivable<std::remove_extent_t<T>, T, Around...>();
    } else if constexpr (kind == Kind::map) {
        return part_archivable<typename T::key_type, T, Around...>() &&
               part_archivable<typename T::mapped_type, T, Around...>();
    } else if constexpr (kind == Kind::array || kind == Kind::sequence || kind == Kind::set || kind == Kind::optional) {
        return part_archivable<typename T::value_type, T, Around...>();
    } else if constexpr (kind == Kind::owner) {
        return part_archivable<typename T::element_type, T, Around...>();
    } else if constexpr (kind == Kind::tuple) {
        using Elements =
            decltype(elements_of<T>(std::make_index_sequence<std::tuple_size_v<T>>()));
        return parts_archivable<T, Around...>(Elements());
    } else if constexpr (kind == Kind::variant) {
        return parts_archivable<T, Around...>(typename AlternativesOf<T>::Types());
    } else if constexpr (kind == Kind::plain_struct) {
        return parts_archivable<T, Around...>(typename Parts<T>::Types());
    } else {
        return true;
    }
}

/// Does not compile if a plain struct has a member that cannot travel.
template <class T>
constexpr void check_members() {
    static_assert(
        archivable_inside<T>(),
        "a member of this struct means nothing in another process: it is a pointer, a "
        "view, a lambda with captures or a std::function, or holds one"
    );
}

}  // namespace detail
}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// refusal_of_value: why a value of a type cannot travel to another process.
// Python:  pickle.PicklingError, at run time.
// Differs: known when compiling; a container is asked for what it holds, so that the
//          text names what has to be changed.
// Threads: any; types only.
#pragma once

#include "mp/archivable.hpp"
#include "mp/detail/archive_kind.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/full_archive_fwd.hpp"
#include "mp/detail/members.hpp"
#include "mp/detail/own_serialize.hpp"
#include "mp/detail/plain_struct.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/type_name.hpp"

#include <boost/serialization/serialization.hpp>

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace mp {

class InArchive;

namespace detail {

// ---- what a type is

template <class T>
inline constexpr bool is_function_pointer =
    std::is_pointer_v<T>&& std::is_function_v<std::remove_pointer_t<T>>;

/// A callable travels as its code, wherever it stands.
template <class T>
inline constexpr bool travels_as_code =
    is_function_pointer<T> || std::is_member_function_pointer_v<T> ||
    is_stateless_closure<T>;

// Told by their names, so that none of their headers is needed here.
template <class T>
inline constexpr bool is_view = spelling<T>.starts_with("std::basic_string_view<") ||
                                spelling<T>.starts_with("std::span<");

template <class T>
inline constexpr bool
    is_std_function = spelling<T>.starts_with("std::function<") ||
                      spelling<T>.starts_with("std::move_only_function<");

template <class T>
inline constexpr bool is_std_bind = spelling<T>.starts_with("std::_Bind");

template <class T>
inline constexpr bool
    is_reference_wrapper = spelling<T>.starts_with("std::reference_wrapper<");

// ---- what is missing

/// Standard classes that mp/serialization.hpp can archive, mp/archive.hpp cannot.
constexpr bool names_class_of_header(std::string_view name) {
    constexpr std::string_view classes[] = {
        "std::bitset<",
        "std::filesystem::",
        "std::forward_list<",
        "std::priority_queue<",
        "std::queue<",
        "std::stack<",
        "std::valarray<",
    };
    // NOLINTNEXTLINE(readability-use-anyofallof): <algorithm> is a long header
    for (const std::string_view start : classes) {
        if (name.starts_with(start)) {
            return true;
        }
    }
    return false;
}

namespace construct_probe {

/// As general as Boost's own: a call is ambiguous unless there is a better one.
template <class Archive, class T>
void load_construct_data(Archive& archive, T* place, unsigned version);

template <class Archive, class T>
concept Found =
    requires(Archive& archive, T* place, boost::serialization::version_type version) {
    load_construct_data(archive, place, version);
};

}  // namespace construct_probe

/// A container's elements are made by a function of theirs, as Boost's own serialize()
/// for containers does it.
template <class T>
constexpr bool constructs_elements() {
    if constexpr (requires { typename T::mapped_type; }) {
        return construct_probe::Found<InArchive, typename T::mapped_type>;
    } else {
        return construct_probe::Found<InArchive, typename T::value_type>;
    }
}

/// mp/serialization.hpp was included before T was first asked about.
template <class T>
concept HasHeader = requires {
    sizeof(PointersNeedTheHeaderMpSerialization<T>);
};

// ---- why a value cannot travel

template <class T, class... Around>
constexpr Refusal refusal_of_archived();

/// Of what is all inside of Outer.
template <class Outer, class... Around, class... Inner>
constexpr Refusal refusal_of_parts(TypeList<Inner...>) {
    return first_refusal(
        Refusal::none, refusal_of_archived<Inner, Outer, Around...>()...
    );
}

/// Of a container; keys are const where they lie in pairs.
template <class T, class... Around>
constexpr Refusal refusal_of_elements() {
    if constexpr (requires { typename T::mapped_type; }) {
        using Pair = TypeList<typename T::key_type, typename T::mapped_type>;
        return refusal_of_parts<T, Around...>(Pair());
    } else {
        return refusal_of_archived<typename T::value_type, T, Around...>();
    }
}

/// Why what a T holds cannot travel; `otherwise` if it holds nothing of its own.
template <class T, class... Around>
constexpr Refusal refusal_of_contents(Refusal otherwise) {
    constexpr Kind kind = kind_of<T>();
    if constexpr (std::is_array_v<T>) {
        return refusal_of_archived<std::remove_extent_t<T>, T, Around...>();
    } else if constexpr (kind == Kind::map || kind == Kind::array || kind == Kind::sequence || kind == Kind::set || kind == Kind::optional) {
        return refusal_of_elements<T, Around...>();
    } else if constexpr (kind == Kind::owner) {
        return refusal_of_archived<typename T::element_type, T, Around...>();
    } else if constexpr (kind == Kind::tuple) {
        using Elements =
            decltype(elements_of<T>(std::make_index_sequence<std::tuple_size_v<T>>()));
        return refusal_of_parts<T, Around...>(Elements());
    } else if constexpr (kind == Kind::variant) {
        return refusal_of_parts<T, Around...>(typename AlternativesOf<T>::Types());
    } else if constexpr (kind == Kind::plain_struct) {
        if constexpr (Parts<T>::obstacle != Refusal::none) {
            return Parts<T>::obstacle;
        } else {
            return refusal_of_parts<T, Around...>(typename Parts<T>::Types());
        }
    } else {
        return otherwise;
    }
}

/// Of a type that is not Archivable.
template <class T, class... Around>
constexpr Refusal refusal_of_alien() {
    if constexpr (is_capturing_closure<T>) {
        return Refusal::capturing_closure;
    } else if constexpr (is_std_function<T>) {
        return Refusal::std_function;
    } else if constexpr (is_std_bind<T>) {
        return Refusal::std_bind;
    } else if constexpr (is_reference_wrapper<T>) {
        return Refusal::reference_wrapper;
    } else if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T>) {
        return Refusal::pointer;
    } else if constexpr (is_view<T>) {
        return Refusal::view;
    } else if constexpr (is_overruled<T>) {
        return Refusal::not_archivable;
    } else {
        constexpr Refusal why =
            refusal_of_contents<T, Around...>(Refusal::not_archivable);
        return why == Refusal::none ? Refusal::not_archivable : why;
    }
}

/// Of a class that its serialize() takes apart.
template <class T, class... Around>
constexpr Refusal refusal_of_object() {
    if constexpr (in_std<T> && RangeShape<T>) {
        // It would be a sequence, set or map if its elements could be made.
        constexpr Refusal why = refusal_of_elements<T, Around...>();
        if constexpr (why == Refusal::not_default_constructible && constructs_elements<T>()) {
            return HasHeader<T> ? Refusal::none : Refusal::needs_header;
        } else if constexpr (why != Refusal::none) {
            return why;
        }
    }
    if constexpr (has_own_serialize<T> || is_bitwise<T>()) {
        return Refusal::none;
    } else if constexpr (in_std<T> && names_class_of_header(spelling<T>)) {
        return Refusal::needs_header;
    } else {
        return Refusal::not_archivable;
    }
}

template <class T, class... Around>
constexpr bool archivable_here() {
    if constexpr (sizeof...(Around) == 0) {
        return Archivable<T>;
    } else {
        return part_archivable<T, Around...>();
    }
}

/// A plain struct makes its members, each with the value that it is declared with.
template <class... Around>
inline constexpr bool made_by_struct = false;
template <class Outer, class... Around>
inline constexpr bool
    made_by_struct<Outer, Around...> = kind_of<Outer>() == Kind::plain_struct;

template <class T, class... Around>
inline constexpr bool can_be_made =
    made_by_struct<Around...> || std::is_default_constructible_v<T> ||
    has_decoding_constructor<T>;

/// Why a value of type T cannot travel as a part of all the types Around, or of a
/// message. A class that holds itself is refused for the rest of what it holds.
template <class T, class... Around>
constexpr Refusal refusal_of_archived() {
    using Value = std::remove_cv_t<T>;
    if constexpr ((std::is_same_v<Value, Around> || ...)) {
        return Refusal::none;
    } else if constexpr (!archivable_here<T, Around...>()) {
        return refusal_of_alien<Value, Around...>();
    } else if constexpr (is_overruled<Value>) {
        return Refusal::none;
    } else if constexpr (kind_of<Value>() == Kind::plain_struct) {
        return refusal_of_contents<Value, Around...>(Refusal::none);
    } else if constexpr (!can_be_made<Value, Around...>) {
        return Refusal::not_default_constructible;
    } else if constexpr (kind_of<Value>() == Kind::object) {
        return refusal_of_object<Value, Around...>();
    } else if constexpr (kind_of<Value>() == Kind::pointer || kind_of<Value>() == Kind::boost_archive) {
        return HasHeader<Value> ? Refusal::none : Refusal::needs_header;
    } else {
        return refusal_of_contents<Value, Around...>(Refusal::none);
    }
}

/// Why an archive cannot take a T apart, wherever it meets one. What the parts are does
/// not matter, as it will meet those, too.
template <class T>
constexpr Refusal refusal_of_part() {
    constexpr Kind kind = kind_of<T>();
    if constexpr (kind == Kind::none) {
        return refusal_of_alien<T>();
    } else if constexpr (kind == Kind::object) {
        return refusal_of_object<T>();
    } else if constexpr (kind == Kind::plain_struct) {
        return Parts<T>::obstacle;
    } else {
        return Refusal::none;
    }
}

/// Why a value of type T cannot travel as an argument or a result, where it may be a
/// callable.
template <class T>
constexpr Refusal refusal_of_value() {
    if constexpr (std::is_void_v<T> || travels_as_code<T>) {
        return Refusal::none;
    } else {
        return refusal_of_archived<T>();
    }
}

}  // namespace detail
}  // namespace mp

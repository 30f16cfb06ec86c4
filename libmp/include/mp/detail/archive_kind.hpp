// SPDX-License-Identifier: BSL-1.0
// Kind: in which of a few ways the values of a type are archived.
// Python:  none, because pickle asks each object at run time.
// Differs: decided when compiling. The standard library's types are told by their names
//          and shapes, so that none of their headers is needed here.
// Threads: any; values only.
#pragma once

#include "mp/detail/plain_struct.hpp"
#include "mp/detail/type_name.hpp"

#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/is_bitwise_serializable.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/level.hpp>
#include <boost/serialization/library_version_type.hpp>
#include <boost/serialization/version.hpp>
#include <boost/serialization/wrapper.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace mp {

/// Specialise as true for a type whose serialize() is written for Boost's binary
/// archives by name. Its bytes are then made by them, about 1.3 us a value. Decode such
/// types only from peers that you trust: Boost's archives believe every length.
template <class T>
inline constexpr bool use_binary_archive = false;

namespace detail {

enum class Kind {
    scalar,         ///< its bytes
    boolean,        ///< one byte
    count,          ///< Boost's size and version numbers: eight bytes
    text,           ///< length and characters
    pointer,        ///< the full archive; also std's smart ones
    array,          ///< elements; C and std
    sequence,       ///< length and elements; vector, deque, list
    set,            ///< length and keys; ordered or not
    map,            ///< length, keys and values; ordered or not
    tuple,          ///< its members; also pair
    optional,       ///< a byte, perhaps a value
    owner,          ///< the same: a unique_ptr to what no other pointer can name
    variant,        ///< an index and a value
    duration,       ///< its count
    time_point,     ///< its duration
    empty,          ///< one byte; a lambda without captures, monostate
    wrapper,        ///< Boost's nvp and the like: what they wrap
    primitive,      ///< its bytes; classes that say so to Boost
    boost_archive,  ///< see use_binary_archive
    object,         ///< what its serialize() writes
    plain_struct,   ///< its members; an aggregate without a serialize()
    none,           ///< cannot be archived
};

template <class T>
inline constexpr std::string_view spelling = type_name<T>();

template <class T>
inline constexpr bool in_std = std::is_class_v<T>&& spelling<T>.starts_with("std::");

template <class T>
inline constexpr bool is_text = false;
template <class Char, class Traits, class Allocator>
inline constexpr bool is_text<std::basic_string<Char, Traits, Allocator>> = true;

template <class T>
inline constexpr bool is_count =
    std::is_same_v<T, boost::serialization::collection_size_type> ||
    std::is_same_v<T, boost::serialization::item_version_type> ||
    std::is_same_v<T, boost::serialization::library_version_type>;

template <class T>
concept RangeShape = requires(T& t) {
    typename T::value_type;
    t.begin();
    t.end();
    t.size();
    t.clear();
};

template <class T>
concept SequenceShape = RangeShape<T> && requires(T& t) {
    t.emplace_back();
    requires std::is_default_constructible_v<typename T::value_type>;
};

template <class T>
concept SetShape = RangeShape<T> && requires(T& t, typename T::key_type key) {
    t.emplace_hint(t.end(), static_cast<typename T::key_type&&>(key));
    requires std::is_default_constructible_v<typename T::key_type>;
};

template <class T>
concept MapShape = RangeShape<T> && requires {
    typename T::key_type;
    requires std::is_default_constructible_v<typename T::key_type>;
    requires std::is_default_constructible_v<typename T::mapped_type>;
};

template <class T>
concept DurationShape = requires {
    typename T::rep;
    typename T::period;
};

template <class T>
concept TimePointShape = requires {
    typename T::clock;
    typename T::duration;
};

/// Classes of the standard library that are bound to their process, or that point to
/// what they do not own.
constexpr bool names_bound_class(std::string_view name) {
    constexpr std::string_view bound[] = {
        "std::any",
        "std::atomic<",
        "std::basic_string_view<",
        "std::condition_variable",
        "std::function<",
        "std::future<",
        "std::initializer_list<",
        "std::jthread",
        "std::move_only_function<",
        "std::mutex",
        "std::promise<",
        "std::recursive_mutex",
        "std::reference_wrapper<",
        "std::shared_future<",
        "std::shared_mutex",
        "std::span<",
        "std::thread",
        "std::type_index",
        "std::type_info",
        "std::_Bind",
        "std::__exception_ptr::",
    };
    // NOLINTNEXTLINE(readability-use-anyofallof): <algorithm> is a long header
    for (const std::string_view start : bound) {
        if (name.starts_with(start)) {
            return true;
        }
    }
    return false;
}

constexpr bool names_smart_pointer(std::string_view name) {
    return name.starts_with("std::unique_ptr<") ||
           name.starts_with("std::shared_ptr<") || name.starts_with("std::weak_ptr<") ||
           name.starts_with("boost::shared_ptr<") ||
           name.starts_with("boost::weak_ptr<") ||
           name.starts_with("boost::scoped_ptr<");
}

template <class T>
constexpr Kind kind_in_std() {
    constexpr std::string_view name = spelling<T>;
    if (names_bound_class(name)) {
        return Kind::none;
    }
    if constexpr (name.starts_with("std::array<")) {
        return std::tuple_size_v<T> == 0 ? Kind::empty : Kind::array;
    }
    if (name.starts_with("std::pair<") || name.starts_with("std::tuple<")) {
        return Kind::tuple;
    }
    if (name.starts_with("std::optional<")) {
        return Kind::optional;
    }
    if (name.starts_with("std::variant<")) {
        return Kind::variant;
    }
    if (name.starts_with("std::complex<")) {
        return Kind::scalar;
    }
    if (name == "std::monostate") {
        return Kind::empty;
    }
    // A time point has a period, too.
    if (TimePointShape<T>) {
        return Kind::time_point;
    }
    if (DurationShape<T>) {
        return Kind::duration;
    }
    if (MapShape<T>) {
        return Kind::map;
    }
    if (SequenceShape<T>) {
        return Kind::sequence;
    }
    if (SetShape<T>) {
        return Kind::set;
    }
    return Kind::object;
}

template <class T>
constexpr Kind kind_of();

// Boost has no pointers to numbers and strings.
template <class T>
inline constexpr bool owns_unnamed = false;
template <class T>
inline constexpr bool owns_unnamed<std::unique_ptr<T>> =
    !std::is_class_v<T> ? !std::is_array_v<T> : is_text<T>;

template <class T>
constexpr Kind kind_of_class() {
    using Level = boost::serialization::implementation_level<T>;
    if constexpr (use_binary_archive<T>) {
        return Kind::boost_archive;
    } else if constexpr (is_count<T>) {
        return Kind::count;
    } else if constexpr (is_text<T>) {
        return Kind::text;
    } else if constexpr (is_stateless_closure<T>) {
        return Kind::empty;
    } else if constexpr (is_closure<T>) {  // NOLINT(bugprone-branch-clone): in order
        return Kind::none;
    } else if constexpr (owns_unnamed<T>) {
        return Kind::owner;
    } else if constexpr (names_smart_pointer(spelling<T>)) {
        return Kind::pointer;
    } else if constexpr (in_std<T> && kind_in_std<T>() != Kind::object) {
        return kind_in_std<T>();
    } else if constexpr (boost::serialization::is_wrapper<T>::type::value) {
        return Kind::wrapper;
    } else if constexpr (Level::value == boost::serialization::primitive_type) {
        return std::is_trivially_copyable_v<T> ? Kind::primitive : Kind::none;
    } else if constexpr (Level::value == boost::serialization::not_serializable) {
        return Kind::none;
    } else if constexpr (!in_std<T> && is_plain_struct<T>()) {
        return Kind::plain_struct;
    } else {
        return Kind::object;
    }
}

/// T without const.
template <class T>
constexpr Kind kind_of() {
    if constexpr (std::is_same_v<T, bool>) {
        return Kind::boolean;
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
        return Kind::scalar;
    } else if constexpr (std::is_array_v<T>) {
        return Kind::array;
    } else if constexpr (std::is_pointer_v<T>) {
        return std::is_class_v<std::remove_pointer_t<T>> ? Kind::pointer : Kind::none;
    } else if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
        return kind_of_class<T>();
    } else {
        return Kind::none;
    }
}

/// Kinds of which a pointer elsewhere in the message may name an object.
template <class T>
inline constexpr bool may_be_pointed_at = kind_of<T>() == Kind::object
                                          || kind_of<T>() == Kind::plain_struct
                                          || kind_of<T>() == Kind::sequence
                                          || kind_of<T>() == Kind::set
                                          || kind_of<T>() == Kind::map
                                          || kind_of<T>() == Kind::tuple
                                          || kind_of<T>() == Kind::optional
                                          || kind_of<T>() == Kind::variant;

template <class T>
constexpr bool is_bitwise();

template <class... Ts>
constexpr bool fill_with_bytes(std::size_t size, TypeList<Ts...>) {
    return (is_bitwise<Ts>() && ...) && (std::size_t{0} + ... + sizeof(Ts)) == size;
}

/// A block of these can be copied as bytes. Not a plain struct with gaps, as a message
/// has no byte that nobody wrote, nor one with a bool, which is checked when read.
template <class T>
constexpr bool is_bitwise() {
    constexpr Kind kind = kind_of<T>();
    if constexpr (kind == Kind::scalar || kind == Kind::primitive) {
        return true;
    } else if constexpr (kind == Kind::array && std::is_array_v<T>) {
        return is_bitwise<std::remove_extent_t<T>>();
    } else if constexpr (kind == Kind::array) {
        return is_bitwise<typename T::value_type>();
    } else if constexpr (kind == Kind::duration) {
        return is_bitwise<typename T::rep>();
    } else if constexpr (kind == Kind::time_point) {
        return is_bitwise<typename T::rep>();
    } else if constexpr (kind == Kind::object && !in_std<T>) {
        return boost::serialization::is_bitwise_serializable<T>::value &&
               std::is_trivially_copyable_v<T>;
    } else if constexpr (kind == Kind::plain_struct) {
        if constexpr (!std::is_trivially_copyable_v<T> || boost::serialization::version<T>::value != 0) {
            return false;
        } else if constexpr (boost::serialization::is_bitwise_serializable<T>::value) {
            return true;
        } else {
            return fill_with_bytes(sizeof(T), typename Parts<T>::Types());
        }
    } else {
        return false;
    }
}

/// An element may be an object of a graph, or have some in it.
template <class T>
inline constexpr bool may_hold_objects =
    may_be_pointed_at<T> ||
    !(is_bitwise<T>() || kind_of<T>() == Kind::text || kind_of<T>() == Kind::boolean);

/// No value of T takes fewer bytes in a message; at least one, so that no length can
/// ask for more elements than there are bytes.
template <class T>
constexpr std::size_t least_size() {
    constexpr Kind kind = kind_of<T>();
    if constexpr (kind != Kind::object && kind != Kind::plain_struct && is_bitwise<T>()) {
        return sizeof(T);
    } else if constexpr (kind == Kind::text || kind == Kind::count) {
        return 8;
    } else if constexpr (kind == Kind::sequence || kind == Kind::set || kind == Kind::map) {
        return 9;
    } else {
        return 1;
    }
}

}  // namespace detail
}  // namespace mp

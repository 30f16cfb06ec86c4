// SPDX-License-Identifier: BSL-1.0
// SharedType: the types whose objects mean the same in every process.
// Python:  the type codes and ctypes types that Value and Array take.
// Differs: known when compiling; a ctypes pointer is accepted and then points nowhere.
// Threads: any; nothing here exists at run time.
#pragma once

#include "mp/detail/archive_kind.hpp"

#include <atomic>
#include <cstddef>
#include <type_traits>

namespace mp {

namespace detail {

template <class T>
inline constexpr bool is_lock_free_atomic = false;
template <class T>
inline constexpr bool is_lock_free_atomic<std::atomic<T>> =
    std::atomic<T>::is_always_lock_free;

template <class T>
constexpr bool shared_by_default() {
    if constexpr (is_lock_free_atomic<T>) {
        return true;
    } else if constexpr (std::is_array_v<T>) {
        return shared_by_default<std::remove_all_extents_t<T>>();
    } else if constexpr (in_std<T> && kind_of<T>() == Kind::array) {
        return shared_by_default<typename T::value_type>();
    } else {
        return std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T> &&
               !std::is_pointer_v<T> && !std::is_member_pointer_v<T> &&
               !std::is_null_pointer_v<T> && !std::is_polymorphic_v<T> &&
               !names_bound_class(spelling<T>);
    }
}

}  // namespace detail

/// Specialise to overrule what SharedType thinks of a type: false for a struct with a
/// pointer inside, which cannot be told.
template <class T>
inline constexpr bool is_shared_type = detail::shared_by_default<T>();

/// Numbers, enums, trivially copyable structs, arrays of those, lock-free atomics. Not
/// pointers, views, and whatever has memory of its own.
template <class T>
concept SharedType =
    std::is_object_v<T> && !std::is_const_v<T> && is_shared_type<std::remove_cv_t<T>>;

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// type_tag: a number that stands before a value in a message, so that reading it as
// another type is an error, not garbage.
// Python:  none, because a pickle names its classes.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

namespace mp::detail {

/// FNV-1a.
constexpr std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    return hash;
}

/// From the name by which the linker knows the type, which all compilers agree on.
template <class T>
std::uint64_t type_tag() noexcept {
    static const std::uint64_t tag = hash_of(typeid(T).name());
    return tag;
}

/// As what a value travels: text of any kind as std::string, everything else as it is.
template <class T>
using Sent = std::conditional_t<
    std::convertible_to<const T&, std::string_view> &&
        (std::is_array_v<T> || std::is_pointer_v<T> ||
         std::same_as<T, std::string_view>),
    std::string,
    T>;

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// type_name: how the compiler spells a type, and what that tells about lambdas.
// Python:  type(x).__qualname__.
// Differs: known when compiling; the spelling differs between compilers.
// Threads: any; values only.
#pragma once

#include "mp/detail/platform.hpp"

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace mp::detail {

/// This function's own name: a return type that is no alias keeps the compiler from
/// explaining that alias there.
template <class T>
constexpr const char* name_with_type() {
    return __PRETTY_FUNCTION__;
}

/// "std::vector<int>", as this compiler writes it. For messages, never as a key.
template <class T>
constexpr std::string_view type_name() {
    // g++ "... [with T = X]", clang++ "... [T = X]"
    const std::string_view whole = name_with_type<T>();
    const std::size_t begin = whole.find("T = ") + 4;
    return whole.substr(begin, whole.size() - begin - 1);
}

/// Where the bracket that closes at the end of `name` opens; npos if none closes there.
constexpr std::size_t opening_of_last_bracket(std::string_view name) {
    int depth = 0;
    for (std::size_t i = name.size(); i-- > 0;) {
        const char c = name[i];
        if (c == '>' || c == ')') {
            ++depth;
        } else if (c == '<' || c == '(') {
            --depth;
        }
        if (depth == 0) {
            return c == '<' || c == '(' ? i : std::string_view::npos;
        }
    }
    return std::string_view::npos;
}

constexpr bool names_closure(std::string_view name) {
    const std::size_t open = opening_of_last_bracket(name);
    if (open == std::string_view::npos) {
        return false;
    }
    const std::string_view last = name.substr(open);
    // g++ "main()::<lambda(int)>", clang++ "(lambda at file.cpp:1:2)"
    return last.starts_with("<lambda(") || last.starts_with("(lambda at ");
}

/// T is the type of a lambda expression, which the language itself does not tell.
template <class T>
inline constexpr bool is_closure = std::is_class_v<T>&&
    names_closure(type_name<std::remove_cv_t<T>>());

/// A lambda without captures: it has no state, so another process makes its own.
template <class T>
inline constexpr bool is_stateless_closure =
    is_closure<T>&& std::is_empty_v<T>&& std::is_default_constructible_v<T>;

/// A lambda with captures: they cannot be seen, so they cannot travel.
template <class T>
inline constexpr bool is_capturing_closure = is_closure<T> && !is_stateless_closure<T>;

}  // namespace mp::detail

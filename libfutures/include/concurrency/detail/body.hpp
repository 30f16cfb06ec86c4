// SPDX-License-Identifier: BSL-1.0
// What is given to be run inside a co_await expression, and the guard against g++ 12's
// handling of that.
// Python:  none, because a callable is a reference there.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/own.hpp"

#include <type_traits>

namespace concurrency {

namespace detail {

// g++ 12 copies the temporaries of a co_await expression that are closures or
// aggregates bit by bit and destroys both: co_await fail_after(1, [path] { ... }) frees
// path's memory twice. Those that are trivially copyable do not mind. Clang is right,
// and so is g++ 13.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
inline constexpr bool copies_temporaries = true;
#else
inline constexpr bool copies_temporaries = false;
#endif

template <class Fn>
inline constexpr bool is_owned = false;

template <class Fn>
inline constexpr bool is_owned<Owned<Fn>> = true;

/// Whether an argument of this deduced type survives a co_await expression.
template <class Fn>
inline constexpr bool is_safe_in_await =
    !copies_temporaries || std::is_lvalue_reference_v<Fn> ||
    std::is_trivially_copyable_v<std::remove_cvref_t<Fn>> ||
    is_task<std::remove_cvref_t<Fn>> || is_owned<std::remove_cvref_t<Fn>>;

/// Every function that takes a callable and is awaited calls this first. It is no
/// coroutine itself, so that it sees what the caller wrote.
template <class Fn>
constexpr void check_awaited_callable() {
    static_assert(
        is_safe_in_await<Fn>,
        "g++ 12 destroys twice what a lambda inside co_await captures by value: "
        "give it a name first (auto body = [...] { ... }; co_await f(body);), capture "
        "by reference, or pass the values as arguments"
    );
}

}  // namespace detail

/// Whether an argument of this deduced type may stand in a co_await expression: with
/// g++ 12 a lambda there may not capture by value what has to be destroyed, unless it
/// has a name, or is in own(). What is awaited here refuses others when it is compiled;
/// this is for functions of a program's own that are awaited and take a callable.
template <class Body>
constexpr bool body_is_safe() noexcept {
    return detail::is_safe_in_await<Body>;
}

}  // namespace concurrency

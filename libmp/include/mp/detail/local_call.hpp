// SPDX-License-Identifier: BSL-1.0
// LocalCall: whether fn(args...) can be made in this process with copies of its
// arguments, and if not, why not: for threads, and for what is forked.
// Python:  the TypeError of a call.
// Differs: known when compiling.
// Threads: any; types only.
#pragma once

#include "mp/detail/call_traits.hpp"
#include "mp/detail/refusal.hpp"

#include <concepts>
#include <type_traits>

namespace mp::detail {

/// Here a pointer to an object does, and there are other ways out of a T& parameter.
constexpr Refusal refusal_here(Refusal why) {
    switch (why) {
    case Refusal::lvalue_reference:
        return Refusal::lvalue_reference_here;
    case Refusal::no_object:
        return Refusal::no_object_here;
    default:
        return why;
    }
}

template <class Function, class... Stored, class... Args>
constexpr Refusal refusal_of_local_arguments(TypeList<Stored...>, TypeList<Args...>) {
    if constexpr (!(becomes<Args, Stored> && ...)) {
        return Refusal::not_convertible;
    } else {
        return lacks_arguments<Function, sizeof...(Args)> ? Refusal::too_few_arguments
                                                          : Refusal::not_invocable_here;
    }
}

/// A member function's object, which may stand behind a pointer.
template <class Function, class Arg>
using ObjectOf = std::conditional_t<
    std::is_member_function_pointer_v<Function>,
    std::remove_pointer_t<Arg>,
    Arg>;

template <class Function, class... Args>
struct LocalShape : CallShape<Function, Args...> {};

template <class Function, class First, class... Rest>
struct LocalShape<Function, First, Rest...>
    : CallShape<Function, ObjectOf<Function, First>, Rest...> {};

template <class Function, class... Args>
constexpr Refusal refusal_of_local_call() {
    using Shape = LocalShape<Function, Args...>;
    if constexpr (std::invocable<Function, Args...>) {
        return Refusal::none;
    } else if constexpr (Shape::refusal != Refusal::none) {
        return refusal_here(Shape::refusal);
    } else if constexpr (std::is_member_function_pointer_v<Function>) {
        return Refusal::not_invocable_here;
    } else {
        return refusal_of_local_arguments<Function>(
            typename Shape::Stored(), TypeList<Args...>()
        );
    }
}

template <class Function, Refusal why, class... Args>
constexpr auto local_result_type() {
    if constexpr (why == Refusal::none) {
        return std::type_identity<std::invoke_result_t<Function, Args...>>();
    } else {
        return result_of_refused<Function>();
    }
}

template <class Fn, class... Args>
struct LocalCall {
    using Function = std::decay_t<Fn>;

    static constexpr Refusal refusal =
        refusal_of_local_call<Function, std::decay_t<Args>...>();

    /// What fn returns, decayed; Refused where nobody can tell.
    using Result = std::decay_t<
        typename decltype(local_result_type<Function, refusal, std::decay_t<Args>...>()
        )::type>;
};

}  // namespace mp::detail

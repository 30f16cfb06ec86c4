// SPDX-License-Identifier: BSL-1.0
// CallTraits: what of fn(args...) travels, what comes back, or why it cannot.
// Python:  none, because any object may turn out to be picklable.
// Differs: nothing to differ from.
// Threads: any; types only.
#pragma once

#include "mp/detail/members.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/value_refusal.hpp"
#include "mp/reduction.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace mp::detail {

// ---- the signature of a callable

template <class R, class... P>
struct Signature {
    using Result = R;
    using Parameters = TypeList<P...>;
};

template <class R, bool N, class... P>
Signature<R, P...> signature_of(R (*)(P...) noexcept(N));
template <class R, class C, bool N, class... P>
Signature<R, P...> signature_of(R (C::*)(P...) noexcept(N));
template <class R, class C, bool N, class... P>
Signature<R, P...> signature_of(R (C::*)(P...) const noexcept(N));
template <class R, class C, bool N, class... P>
Signature<R, P...> signature_of(R (C::*)(P...) & noexcept(N));
template <class R, class C, bool N, class... P>
Signature<R, P...> signature_of(R (C::*)(P...) const& noexcept(N));
template <class R, class C, bool N, class... P>
Signature<R, P...> signature_of(R (C::*)(P...) && noexcept(N));
template <class R, class C, bool N, class... P>
Signature<R, P...> signature_of(R (C::*)(P...) const&& noexcept(N));

template <class C, class F>
C class_of(F C::*);

/// A function or member function, whose signature is known.
template <class F>
concept HasSignature = requires(F f) {
    signature_of(f);
};

/// A class with exactly one operator(), so that its signature is known.
template <class F>
concept HasOneCallOperator = requires {
    signature_of(&F::operator());
};

template <class F>
using SignatureOf = decltype(signature_of(std::declval<F>()));
template <class F>
using SignatureOfOperator = decltype(signature_of(&F::operator()));

// ---- what travels for one argument

/// For a parameter P: its value. An argument of a derived class keeps its class where
/// the parameter refers to the base, as it would in this process.
template <class P, class Arg>
using StoredFor = DecodedAs<std::conditional_t<
    std::is_reference_v<P> &&
        std::is_base_of_v<std::remove_cvref_t<P>, std::remove_cvref_t<Arg>>,
    std::remove_cvref_t<Arg>,
    std::remove_cvref_t<P>>>;

/// For a parameter of unknown type: the argument's value, text as std::string.
template <class Arg>
using StoredGeneric = std::conditional_t<
    std::is_same_v<std::decay_t<Arg>, const char*> ||
        std::is_same_v<std::decay_t<Arg>, char*>,
    std::string,
    DecodedAs<std::decay_t<Arg>>>;

// ---- what travels for all arguments

/// Arguments for the parameters P. A class with operator() knows its default arguments,
/// so it may get fewer.
template <class Parameters, class Indices, class... Args>
struct MatchedArguments;

template <class... P, std::size_t... i, class... Args>
struct MatchedArguments<TypeList<P...>, std::index_sequence<i...>, Args...> {
    template <std::size_t n>
    using Parameter = std::tuple_element_t<n, std::tuple<P...>>;

    using Stored = TypeList<StoredFor<Parameter<i>, Args>...>;
    static constexpr bool writes_to_argument =
        ((std::is_lvalue_reference_v<Parameter<i>> &&
          !std::is_const_v<std::remove_reference_t<Parameter<i>>>) ||
         ...);
    static constexpr Refusal refusal =
        writes_to_argument ? Refusal::lvalue_reference : Refusal::none;
};

template <Refusal why>
struct Mismatched {
    using Stored = TypeList<>;
    static constexpr Refusal refusal = why;
};

template <class Parameters, class... Args>
using MatchedTo = typename std::conditional_t<
    (Parameters::size < sizeof...(Args)),
    std::type_identity<Mismatched<Refusal::too_many_arguments>>,
    std::type_identity<
        MatchedArguments<Parameters, std::index_sequence_for<Args...>, Args...>>>::type;

/// A class whose operator() is overloaded or a template: each argument as it is.
template <class Function, class... Args>
struct CallShape {
    using Stored = TypeList<StoredGeneric<Args>...>;
    static constexpr Refusal refusal =
        std::is_class_v<Function> ? Refusal::none : Refusal::not_callable;
};

template <HasOneCallOperator Function, class... Args>
struct CallShape<Function, Args...>
    : MatchedTo<typename SignatureOfOperator<Function>::Parameters, Args...> {};

template <HasSignature Function, class... Args>
    requires is_function_pointer<Function>
struct CallShape<Function, Args...>
    : std::conditional_t<
          (sizeof...(Args) < SignatureOf<Function>::Parameters::size),
          Mismatched<Refusal::too_few_arguments>,
          MatchedTo<typename SignatureOf<Function>::Parameters, Args...>> {
};

template <class Function>
    requires std::is_member_function_pointer_v<Function>
struct CallShape<Function> : Mismatched<Refusal::no_object> {
};

/// An object that holds a member function of C, or points to one that does and owns it.
template <class Object, class C>
concept HoldsMemberOf = std::is_base_of_v<C, Object> ||
    (std::is_class_v<Object>&& requires(Object& o) {
        requires std::is_base_of_v<C, std::remove_cvref_t<decltype(*o)>>;
    });

template <HasSignature Function, class Object, class... Args>
    requires std::is_member_function_pointer_v<Function>
struct CallShape<Function, Object, Args...> {
    using Parameters = typename SignatureOf<Function>::Parameters;
    using Class = decltype(class_of(std::declval<Function>()));
    using Rest = std::conditional_t<
        (sizeof...(Args) < Parameters::size),
        Mismatched<Refusal::too_few_arguments>,
        MatchedTo<Parameters, Args...>>;

    template <class... Stored>
    static TypeList<std::remove_cvref_t<Object>, Stored...>
        with_object(TypeList<Stored...>);

    using Stored = decltype(with_object(typename Rest::Stored()));
    static constexpr Refusal refusal = HoldsMemberOf<std::remove_cvref_t<Object>, Class>
                                           ? Rest::refusal
                                           : Refusal::no_object;
};

// ---- the call

template <class Function, class... Stored>
inline constexpr bool called_with_rvalues = std::is_invocable_v<Function&, Stored...>;

/// The first argument is the object of a member function that wants an lvalue.
template <class Function, class... Stored>
inline constexpr bool called_on_lvalue = false;
template <class Function, class Object, class... Stored>
inline constexpr bool called_on_lvalue<Function, Object, Stored...> =
    std::is_member_function_pointer_v<Function>&&
        std::is_invocable_v<Function&, Object&, Stored...>;

template <class Function>
constexpr auto result_on_lvalue(TypeList<>) -> void;
template <class Function, class Object, class... Stored>
constexpr auto result_on_lvalue(TypeList<Object, Stored...>)
    -> std::invoke_result_t<Function&, Object&, Stored...>;

template <class Function, class... Stored>
constexpr auto call_result(TypeList<Stored...> stored) {
    if constexpr (called_with_rvalues<Function, Stored...>) {
        return std::type_identity<std::invoke_result_t<Function&, Stored...>>();
    } else {
        return std::type_identity<decltype(result_on_lvalue<Function>(stored))>();
    }
}

/// What a call that is refused would give, as far as its callable tells.
template <class Function>
constexpr auto result_of_refused() {
    if constexpr (HasSignature<Function>) {
        return std::type_identity<typename SignatureOf<Function>::Result>();
    } else if constexpr (HasOneCallOperator<Function>) {
        return std::type_identity<typename SignatureOfOperator<Function>::Result>();
    } else {
        return std::type_identity<Refused>();
    }
}

/// Why the callable itself cannot travel. A class without state does not need to: the
/// other process makes its own.
template <class Function>
constexpr Refusal refusal_of_function() {
    if constexpr (std::is_empty_v<Function> && std::is_default_constructible_v<Function>) {
        return Refusal::none;
    } else if constexpr (std::is_class_v<Function> || travels_as_code<Function>) {
        return refusal_of_value<Function>();
    } else {
        return Refusal::not_callable;
    }
}

/// A value of the type itself is only read, so that even what cannot be copied may stay
/// with the caller.
template <class Arg, class Stored>
inline constexpr bool becomes =
    std::is_same_v<DecodedAs<std::remove_cvref_t<Arg>>, Stored> ||
    std::is_convertible_v<Arg, Stored>;

/// A class whose operator() takes more; default arguments do not show in its signature.
template <class Function, std::size_t arguments>
inline constexpr bool lacks_arguments = false;
template <HasOneCallOperator Function, std::size_t arguments>
inline constexpr bool lacks_arguments<Function, arguments> =
    arguments < SignatureOfOperator<Function>::Parameters::size;

/// The values first: to ask whether the call can be made may compile the callable's
/// body, and what does not compile there would stand before our text.
template <class Function, class... Stored, class... Args>
constexpr Refusal refusal_of_arguments(TypeList<Stored...>, TypeList<Args...>) {
    constexpr Refusal values =
        first_refusal(Refusal::none, refusal_of_value<Stored>()...);
    if constexpr (values != Refusal::none) {
        return values;
    } else if constexpr (!(becomes<Args, Stored> && ...)) {
        return Refusal::not_convertible;
    } else if constexpr (!called_with_rvalues<Function, Stored...> && !called_on_lvalue<Function, Stored...>) {
        return lacks_arguments<Function, sizeof...(Args)> ? Refusal::too_few_arguments
                                                          : Refusal::not_invocable;
    } else {
        return Refusal::none;
    }
}

template <class Function, class... Args>
constexpr Refusal refusal_of_call() {
    using Shape = CallShape<Function, Args...>;
    if constexpr (refusal_of_function<Function>() != Refusal::none) {
        return refusal_of_function<Function>();
    } else if constexpr (Shape::refusal != Refusal::none) {
        return Shape::refusal;
    } else {
        return refusal_of_arguments<Function>(
            typename Shape::Stored(), TypeList<Args...>()
        );
    }
}

template <Refusal why, class Function, class Stored>
constexpr auto result_type() {
    if constexpr (why == Refusal::none) {
        return call_result<Function>(Stored());
    } else {
        return result_of_refused<Function>();
    }
}

template <class Fn, class... Args>
struct CallTraits {
    /// What travels for `fn`.
    using Function = std::decay_t<Fn>;
    /// A TypeList of what travels for each argument.
    using Stored = typename CallShape<Function, Args...>::Stored;

    /// Why fn(args...) cannot travel; its result does not count.
    static constexpr Refusal refusal = refusal_of_call<Function, Args...>();

    /// What fn returns, decayed; if the call cannot travel, what fn says that it
    /// returns, or Refused.
    using Result =
        std::decay_t<typename decltype(result_type<refusal, Function, Stored>())::type>;

    /// Why the call, or its result on the way back, cannot travel.
    static constexpr Refusal refusal_with_result =
        refusal != Refusal::none ? refusal : refusal_of_value<Result>();
};

}  // namespace mp::detail

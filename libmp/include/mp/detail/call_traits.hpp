// SPDX-License-Identifier: BSL-1.0
// CallTraits: what of fn(args...) travels, what comes back, or why it cannot.
// Python:  none, because any object may turn out to be picklable.
// Differs: nothing to differ from.
// Threads: any; types only.
#pragma once

#include "mp/detail/call_refusal.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/type_name.hpp"
#include "mp/reduction.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace mp::detail {

// ---- the parameters of a callable

template <class R, bool N, class... P>
TypeList<P...> parameters_of(R (*)(P...) noexcept(N));
template <class R, class C, bool N, class... P>
TypeList<P...> parameters_of(R (C::*)(P...) noexcept(N));
template <class R, class C, bool N, class... P>
TypeList<P...> parameters_of(R (C::*)(P...) const noexcept(N));
template <class R, class C, bool N, class... P>
TypeList<P...> parameters_of(R (C::*)(P...) & noexcept(N));
template <class R, class C, bool N, class... P>
TypeList<P...> parameters_of(R (C::*)(P...) const& noexcept(N));
template <class R, class C, bool N, class... P>
TypeList<P...> parameters_of(R (C::*)(P...) && noexcept(N));
template <class R, class C, bool N, class... P>
TypeList<P...> parameters_of(R (C::*)(P...) const&& noexcept(N));

template <class C, class F>
C class_of(F C::*);

/// A function or member function, whose parameters are known.
template <class F>
concept HasParameters = requires(F f) {
    parameters_of(f);
};

/// A class with exactly one operator(), so that its parameters are known.
template <class F>
concept HasOneCallOperator = requires {
    parameters_of(&F::operator());
};

// ---- what travels for one argument

template <class T>
inline constexpr bool is_function_pointer =
    std::is_pointer_v<T>&& std::is_function_v<std::remove_pointer_t<T>>;

/// A callable travels as its code, wherever it stands.
template <class T>
inline constexpr bool travels_as_code =
    is_function_pointer<T> || std::is_member_function_pointer_v<T> ||
    is_stateless_closure<T>;

template <class T>
inline constexpr bool is_view = false;
template <class C, class Traits>
inline constexpr bool is_view<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t n>
inline constexpr bool is_view<std::span<T, n>> = true;

template <class T>
inline constexpr bool is_std_function = false;
template <class F>
inline constexpr bool is_std_function<std::function<F>> = true;

template <class T>
inline constexpr bool is_reference_wrapper = false;
template <class T>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<T>> = true;

template <class... Ts>
constexpr Refusal first_refusal(Ts... whys) {
    Refusal first = Refusal::none;
    ((first = first == Refusal::none ? whys : first), ...);
    return first;
}

template <class T, class... Around>
constexpr Refusal refusal_of_value();

/// The first member of a plain struct that cannot travel says more than the struct.
template <class T, class... Around, class... Inner>
constexpr Refusal refusal_of_members(TypeList<Inner...>) {
    return first_refusal(refusal_of_value<std::remove_const_t<Inner>, T, Around...>()...
    );
}

template <class T, class... Around>
constexpr Refusal refusal_of_parts() {
    if constexpr (Parts<T>::obstacle != Obstacle::none) {
        return refusal_of(Parts<T>::obstacle);
    } else {
        return refusal_of_members<T, Around...>(typename Parts<T>::Types());
    }
}

/// Why a value of type T cannot travel, where it is a member of all the types Around.
template <class T, class... Around>
constexpr Refusal refusal_of_value() {
    // NOLINTNEXTLINE(bugprone-branch-clone): what goes in any case, then what else does
    if constexpr (std::is_void_v<T> || (travels_as_code<T> && sizeof...(Around) == 0)) {
        return Refusal::none;
    } else if constexpr (is_capturing_closure<T>) {
        return Refusal::capturing_closure;
    } else if constexpr (is_std_function<T>) {
        return Refusal::std_function;
    } else if constexpr (std::is_bind_expression_v<T>) {
        return Refusal::std_bind;
    } else if constexpr (is_reference_wrapper<T>) {
        return Refusal::reference_wrapper;
    } else if constexpr (is_view<T>) {
        return Refusal::view;
    } else if constexpr (is_overruled<T> && sizeof...(Around) != 0) {
        return is_archivable<T> ? Refusal::none : Refusal::not_archivable;
    } else if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T>) {
        return Refusal::pointer;
    } else if constexpr (!is_overruled<T> && kind_of<T>() == Kind::plain_struct) {
        return refusal_of_parts<T, Around...>();
    } else if constexpr (!Archivable<T>) {
        return Refusal::not_archivable;
    } else if constexpr (sizeof...(Around) == 0 && !std::is_default_constructible_v<T> && !has_decoding_constructor<T>) {
        return Refusal::not_default_constructible;
    } else {
        return Refusal::none;
    }
}

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
    : MatchedTo<decltype(parameters_of(&Function::operator())), Args...> {};

template <HasParameters Function, class... Args>
    requires is_function_pointer<Function>
struct CallShape<Function, Args...>
    : std::conditional_t<
          (sizeof...(Args) < decltype(parameters_of(std::declval<Function>()))::size),
          Mismatched<Refusal::too_few_arguments>,
          MatchedTo<decltype(parameters_of(std::declval<Function>())), Args...>> {
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

template <HasParameters Function, class Object, class... Args>
    requires std::is_member_function_pointer_v<Function>
struct CallShape<Function, Object, Args...> {
    using Parameters = decltype(parameters_of(std::declval<Function>()));
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
        return std::type_identity<
            std::decay_t<std::invoke_result_t<Function&, Stored...>>>();
    } else if constexpr (called_on_lvalue<Function, Stored...>) {
        return std::type_identity<
            std::decay_t<decltype(result_on_lvalue<Function>(stored))>>();
    } else {
        return std::type_identity<void>();
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

template <class Function, class... Stored, class... Args>
constexpr Refusal refusal_of_arguments(TypeList<Stored...>, TypeList<Args...>) {
    if constexpr (!(becomes<Args, Stored> && ...)) {
        constexpr Refusal values = first_refusal(refusal_of_value<Stored>()...);
        return values != Refusal::none ? values : Refusal::not_convertible;
    } else if constexpr (!called_with_rvalues<Function, Stored...> && !called_on_lvalue<Function, Stored...>) {
        constexpr Refusal values = first_refusal(refusal_of_value<Stored>()...);
        return values != Refusal::none ? values : Refusal::not_invocable;
    } else {
        return first_refusal(Refusal::none, refusal_of_value<Stored>()...);
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

template <class Fn, class... Args>
struct CallTraits {
    /// What travels for `fn`.
    using Function = std::decay_t<Fn>;
    /// A TypeList of what travels for each argument.
    using Stored = typename CallShape<Function, Args...>::Stored;
    /// What fn returns, decayed; void if the call cannot travel.
    using Result = typename decltype(call_result<Function>(Stored()))::type;

    /// Why fn(args...) cannot travel; its result does not count.
    static constexpr Refusal refusal = refusal_of_call<Function, Args...>();
    /// Why the call, or its result on the way back, cannot travel.
    static constexpr Refusal refusal_with_result =
        first_refusal(refusal, refusal_of_value<Result>());
};

}  // namespace mp::detail

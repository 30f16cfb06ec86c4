// SPDX-License-Identifier: BSL-1.0
// FutureArguments: which arguments of a submit() are futures whose values the call
// gets, and what the call is with those values.
// Python:  none; dask and ray do so.
// Differs: nothing to differ from.
// Threads: any; types only, but for Given.
#pragma once

#include "futures/detail/dependencies.hpp"
#include "futures/future.hpp"
#include "mp/detail/call_traits.hpp"
#include "mp/detail/forced_unwind.hpp"
#include "mp/detail/refusal.hpp"

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures::detail {

template <class T>
inline constexpr bool is_future = false;
template <class T>
inline constexpr bool is_future<Future<T>> = true;

template <class Arg>
concept FutureArgument = is_future<std::remove_cvref_t<Arg>>;

template <class Arg>
struct ValueOfArgument {
    using type = Arg;
};
template <FutureArgument Arg>
struct ValueOfArgument<Arg> {
    using type = typename std::remove_cvref_t<Arg>::value_type;
};

/// T of a Future<T>; what is no future, as it is.
template <class Arg>
using ValueOf = typename ValueOfArgument<Arg>::type;

/// A parameter of this type is meant for the future itself.
template <class Parameter, class Arg>
constexpr bool wants_future() {
    using F = std::remove_cvref_t<Arg>;
    if constexpr (is_future<std::remove_cvref_t<Parameter>>) {
        return true;
    } else if constexpr (std::is_void_v<ValueOf<Arg>>) {
        return std::is_convertible_v<F, Parameter>;
    } else {
        return !std::is_convertible_v<ValueOf<Arg>, Parameter> &&
               std::is_convertible_v<F, Parameter>;
    }
}

/// The same for the argument in place `i` of a callable.
template <class Function, std::size_t i, class Arg>
constexpr bool callable_wants_future() {
    const auto of = []<class... P>(mp::detail::TypeList<P...>) {
        if constexpr (i < sizeof...(P)) {
            using Parameter = std::tuple_element_t<i, std::tuple<P...>>;
            return wants_future<Parameter, Arg>();
        } else {
            return false;
        }
    };
    if constexpr (!FutureArgument<Arg> || std::is_member_pointer_v<Function>) {
        return false;
    } else if constexpr (mp::detail::HasSignature<Function>) {
        return of(typename mp::detail::SignatureOf<Function>::Parameters());
    } else if constexpr (mp::detail::HasOneCallOperator<Function>) {
        return of(typename mp::detail::SignatureOfOperator<Function>::Parameters());
    } else {
        return false;
    }
}

/// Where a callable may get futures: in this process.
enum class FuturesTravel : bool { no, yes };

template <FuturesTravel travel, class Fn, class Indices, class... Args>
struct FutureArgumentsOf;

template <FuturesTravel travel, class Fn, std::size_t... i, class... Args>
struct FutureArgumentsOf<travel, Fn, std::index_sequence<i...>, Args...> {
    using Function = std::decay_t<Fn>;

    /// The value is wanted of the argument in this place.
    template <std::size_t n>
    static constexpr bool awaited = std::get<n>(std::tuple{
        (FutureArgument<Args> && (travel == FuturesTravel::no ||
                                  !callable_wants_future<Function, i, Args>()))...});

    /// What a callable takes of which nothing is known but that it can be called with
    /// the futures, and not with their values.
    static constexpr bool takes_futures_only() {
        if constexpr (travel == FuturesTravel::no || mp::detail::HasSignature<Function> || mp::detail::HasOneCallOperator<Function> || (std::is_void_v<ValueOf<Args>> || ...)) {
            return false;
        } else if constexpr (std::is_invocable_v<
                                 Function,
                                 std::decay_t<ValueOf<Args>>...>) {
            return false;  // not to be asked about the futures: that compiles its body
        } else {
            return std::is_invocable_v<Function, std::decay_t<Args>...>;
        }
    }

    static constexpr bool any = (awaited<i> || ...) && !takes_futures_only();

    /// The same when it is one of several that the callable takes as they are.
    template <std::size_t n>
    static constexpr bool awaits = any&& awaited<n>;

    static constexpr std::size_t count =
        (static_cast<std::size_t>(awaits<i>) + ... + 0U);

    /// Its number among those that are awaited.
    template <std::size_t n>
    static constexpr std::size_t
        number = (static_cast<std::size_t>(awaits<i> && i < n) + ... + 0U);

    /// Why the values cannot be had.
    template <std::size_t n, class Arg>
    static constexpr mp::detail::Refusal refusal_of() {
        if constexpr (!awaited<n>) {
            return mp::detail::Refusal::none;
        } else if constexpr (std::is_void_v<ValueOf<Arg>>) {
            return mp::detail::Refusal::future_without_value;
        } else if constexpr (TakenOnce<ValueOf<Arg>> && std::is_lvalue_reference_v<Arg>) {
            return mp::detail::Refusal::future_of_uncopyable;
        } else {
            return mp::detail::Refusal::none;
        }
    }

    static constexpr mp::detail::Refusal refusal =
        mp::detail::first_refusal(mp::detail::Refusal::none, refusal_of<i, Args>()...);

    /// What the call gets for the argument in this place.
    template <std::size_t n, class Arg>
    using Given = std::conditional_t<awaits<n>, ValueOf<Arg>, Arg>;

    /// The call as it will be: Traits<Fn, the values' types>.
    template <template <class, class...> class Traits>
    using Call = Traits<Fn, std::conditional_t<awaited<i>, ValueOf<Args>, Args>...>;
};

template <FuturesTravel travel, class Fn, class... Args>
using FutureArguments =
    FutureArgumentsOf<travel, Fn, std::index_sequence_for<Args...>, Args...>;

/// The handle itself of an argument that is awaited: a copy of an lvalue says that
/// there are two.
template <bool awaited, class Arg>
auto handle_of(Arg&& arg) {
    if constexpr (awaited) {
        return std::remove_cvref_t<Arg>(std::forward<Arg>(arg));
    } else {
        return nullptr;
    }
}

/// Throws InvalidStateError for a handle that was moved from.
template <class T>
void base_of(const Future<T>& handle) {
    handle.base();
}
inline void base_of(std::nullptr_t) noexcept {}

template <class T>
void add_handle(Dependencies& dependent, const Future<T>& handle) noexcept {
    dependent.add(handle.base(), true);
}
inline void add_handle(Dependencies&, std::nullptr_t) noexcept {}

/// Takes the value of a future that is done. Throws DependencyError when it turns out
/// that there is none: it cannot be decoded or copied, or was moved out before.
template <class T>
T take_value(Dependencies& from, std::size_t number) {
    Future<T> future{StatePtr<State<T>>(static_cast<State<T>*>(&from.take(number)))};
    try {
        return std::move(future).result();
    } catch (...) {
        throw_dependency_error();
    }
}

/// In place of an argument: the value of a future that is not done yet.
template <class T>
class Awaited {
public:
    explicit Awaited(std::size_t number) noexcept : number_(number) {}

    T&& take(Dependencies& from) {
        value_.emplace(take_value<T>(from, number_));
        return *std::move(value_);
    }

    /// The first call takes it; it stays here, and so does why there is none.
    T& lend(Dependencies& from) {
        if (failed_ != nullptr) {
            std::rethrow_exception(failed_);
        }
        if (!value_) {
            try {
                value_.emplace(take_value<T>(from, number_));
            } catch (const mp::detail::ForcedUnwind&) {
                throw;
            } catch (...) {
                failed_ = std::current_exception();
                throw;
            }
        }
        return *value_;
    }

    /// For a look; the same.
    const T& look(Dependencies& from) const {
        auto& state = static_cast<State<T>&>(from.state(number_));
        try {
            await_value(state, mp::forever);
            state.check_not_taken();
        } catch (...) {
            throw_dependency_error();
        }
        return state.value();
    }

private:
    std::size_t number_;
    std::optional<T> value_;
    std::exception_ptr failed_;
};

template <class T>
T&& given(T& argument, Dependencies&) noexcept {
    return std::move(argument);
}
template <class T>
T&& given(Awaited<T>& argument, Dependencies& from) {
    return argument.take(from);
}

template <class T>
T& lent(T& argument, Dependencies&) noexcept {
    return argument;
}
template <class T>
T& lent(Awaited<T>& argument, Dependencies& from) {
    return argument.lend(from);
}

template <class T>
const T& shown(const T& argument, Dependencies&) noexcept {
    return argument;
}
template <class T>
const T& shown(const Awaited<T>& argument, Dependencies& from) {
    return argument.look(from);
}

/// What is kept of an argument: it, or a place for its value.
template <bool awaited, class Stored, class Arg>
auto kept_argument(std::size_t number, Arg&& arg) {
    if constexpr (awaited) {
        return Awaited<ValueOf<Arg>>(number);
    } else {
        return Stored(std::forward<Arg>(arg));
    }
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// Future::then, Future::recover: what to do with a value, or a failure, when it is
// there.
// Python:  none; mpi4py.futures' then().
// Differs: nothing to differ from.
// Threads: any. The function runs in the thread that completes the future, or in the
//          pool that is named.
#pragma once

#include "futures/detail/derived.hpp"
#include "futures/detail/future_arguments.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/local_call.hpp"

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// What a function gets that then() calls.
enum class ThenGets {
    nothing,    ///< of a Future<void>
    value,      ///< a copy, or what was moved out
    reference,  ///< to the value, whose future others have
    future,     ///< also when it failed
};

template <class T, bool shared, class Fn>
constexpr ThenGets then_gets() {
    using Function = std::decay_t<Fn>;
    if constexpr (callable_wants_future<Function, 0, Future<T>>()) {
        return ThenGets::future;
    } else if constexpr (std::is_void_v<T>) {
        return ThenGets::nothing;
    } else if constexpr (shared && std::is_invocable_v<Function, const T&>) {
        return ThenGets::reference;
    } else {
        return ThenGets::value;
    }
}

/// then(fn): waits for one future, calls `fn`.
template <class T, class R, class Fn, ThenGets gets>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class Then final : public Derivation<typename Unwrapped<R>::type> {
    using Result = typename Unwrapped<R>::type;
    using Needs = Dependencies::Needs;

public:
    template <class F>
    explicit Then(F&& fn)
        : Derivation<Result>(
              1, gets == ThenGets::future ? Needs::outcomes : Needs::values
          ),
          fn_(std::forward<F>(fn)) {}

private:
    void make(DerivedState<Result>& derived) override {
        auto from = this->template future<T>(0);
        // It is gone before the result is known.
        std::optional<Fn> fn(std::move(fn_));
        fn_.reset();
        const auto call = [&]() -> R {
            struct Gone {
                std::optional<Fn>& fn;
                ~Gone() { fn.reset(); }
            } const gone{fn};
            if constexpr (gets == ThenGets::nothing) {
                std::move(from).result();
                return std::invoke(*std::move(fn));
            } else if constexpr (gets == ThenGets::reference) {
                return std::invoke(*std::move(fn), from.result());
            } else if constexpr (gets == ThenGets::future) {
                return std::invoke(*std::move(fn), std::move(from));
            } else {
                return std::invoke(*std::move(fn), std::move(from).result());
            }
        };
        if constexpr (std::is_same_v<R, Result>) {
            derived.settle(call);
        } else {
            std::optional<R> inner;
            try {
                inner.emplace(call());
            } catch (const mp::detail::ForcedUnwind&) {
                derived.fail(thread_ended_in_function());
                throw;
            } catch (...) {
                derived.fail(std::current_exception());
                return;
            }
            Forward<Result, typename R::value_type>::start(derived, *inner);
        }
    }

    void let_go() noexcept override { fn_.reset(); }

    std::optional<Fn> fn_;
};

/// recover(fn): the value, or what `fn` makes of the exception.
template <class T, class Fn>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class Recover final : public Derivation<T> {
public:
    template <class F>
    explicit Recover(F&& fn)
        : Derivation<T>(1, Dependencies::Needs::outcomes), fn_(std::forward<F>(fn)) {}

private:
    void make(DerivedState<T>& derived) override {
        auto from = this->template future<T>(0);
        std::optional<Fn> fn(std::move(fn_));
        fn_.reset();
        derived.settle([&]() -> T {
            const auto error = from.exception();
            if (error == nullptr) {
                return std::move(from).result();
            }
            return std::invoke(*std::move(fn), error);
        });
    }

    void let_go() noexcept override { fn_.reset(); }

    std::optional<Fn> fn_;
};

template <class T>
struct Continuation {
    template <class D, class F>
    static auto begin(F&& future, D* derivation) {
        // A copy says that there are two handles; it is gone when nobody else has one.
        const Future<T> held(std::forward<F>(future));
        derivation->add(held.base(), true);
        return derivation->begin();
    }

    template <class F, class Fn>
    static auto then(F&& future, Fn&& fn) {
        constexpr bool shared = std::is_lvalue_reference_v<F>;
        constexpr auto gets = then_gets<T, shared, Fn>();
        using Check = typename decltype(check<gets, Fn>())::type;
        constexpr auto why = shared && gets == ThenGets::value && is_taken_once<T>
                                 ? mp::detail::Refusal::future_of_uncopyable
                                 : Check::refusal;
        using R = typename Check::Result;
        if constexpr (mp::detail::accepts<why, Fn, Future<T>>()) {
            future.base();  // throws for a handle that was moved from
            return begin(
                std::forward<F>(future),
                new Then<T, R, std::decay_t<Fn>, gets>(std::forward<Fn>(fn))
            );
        } else {
            return Future<typename Unwrapped<R>::type>();
        }
    }

    template <class F, class E, class Fn>
    static auto submit(F&& future, E& executor, Fn&& fn) {
        if constexpr (callable_wants_future<std::decay_t<Fn>, 0, Future<T>>()) {
            SubmitOptions options;
            options.after = {future};
            return executor.submit(
                std::move(options), std::forward<Fn>(fn), std::forward<F>(future)
            );
        } else if constexpr (std::is_void_v<T>) {
            SubmitOptions options;
            options.after = {future};
            return executor.submit(std::move(options), std::forward<Fn>(fn));
        } else {
            return executor.submit(std::forward<Fn>(fn), std::forward<F>(future));
        }
    }

    template <class F, class Fn>
    static Future<T> recover(F&& future, Fn&& fn) {
        static_assert(
            std::is_invocable_v<std::decay_t<Fn>, std::exception_ptr>,
            "the function of recover() takes a std::exception_ptr"
        );
        constexpr auto why = std::is_lvalue_reference_v<F> && is_taken_once<T>
                                 ? mp::detail::Refusal::future_of_uncopyable
                                 : mp::detail::Refusal::none;
        if constexpr (mp::detail::accepts<why, Fn, Future<T>>()) {
            future.base();
            return begin(
                std::forward<F>(future),
                new Recover<T, std::decay_t<Fn>>(std::forward<Fn>(fn))
            );
        } else {
            return Future<T>();
        }
    }

private:
    template <ThenGets gets, class Fn>
    static constexpr auto check() {
        if constexpr (gets == ThenGets::nothing) {
            return std::type_identity<mp::detail::LocalCall<Fn>>();
        } else if constexpr (gets == ThenGets::future) {
            return std::type_identity<mp::detail::LocalCall<Fn, Future<T>>>();
        } else {
            return std::type_identity<mp::detail::LocalCall<Fn, T>>();
        }
    }
};

}  // namespace futures::detail

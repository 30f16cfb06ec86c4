// SPDX-License-Identifier: BSL-1.0
// when_all, when_any: one future of many.
// Python:  none; mpi4py.futures' collect(), asyncio.gather() for awaitables.
// Differs: nothing to differ from.
// Threads: any.  Blocks: never.
#pragma once

#include "futures/detail/derived.hpp"
#include "futures/detail/future_arguments.hpp"
#include "futures/future.hpp"
#include "mp/detail/refusal.hpp"

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace futures {

/// What when_any() gives: the futures, and which of them was done first.
template <class T>
struct WhenAnyResult {
    /// The first one's place, from 0.
    std::size_t index = 0;
    /// All that when_any() was given, in order; that one has finished or was cancelled.
    std::vector<Future<T>> futures;

    /// The first one.
    const Future<T>& future() const { return futures.at(index); }
};

namespace detail {

/// The value of a Future<void> among others.
template <class T>
using WhenValue = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
WhenValue<T> when_value(Future<T>&& future) {
    if constexpr (std::is_void_v<T>) {
        std::move(future).result();
        return {};
    } else {
        return std::move(future).result();
    }
}

template <class... T>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class AllOfTuple final : public Derivation<std::tuple<WhenValue<T>...>> {
    using Values = std::tuple<WhenValue<T>...>;

public:
    AllOfTuple() : Derivation<Values>(sizeof...(T), Dependencies::Needs::values) {}

private:
    void make(DerivedState<Values>& derived) override {
        derived.settle([this] { return values(std::index_sequence_for<T...>()); });
    }

    template <std::size_t... i>
    Values values(std::index_sequence<i...>) {
        return Values{when_value<T>(this->template future<T>(i))...};
    }
};

template <class T>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class AllOfVector final : public Derivation<std::vector<WhenValue<T>>> {
    using Values = std::vector<WhenValue<T>>;

public:
    explicit AllOfVector(std::size_t count)
        : Derivation<Values>(count, Dependencies::Needs::values) {}

private:
    void make(DerivedState<Values>& derived) override {
        derived.settle([this] {
            Values values;
            values.reserve(this->size());
            for (std::size_t i = 0; i < this->size(); ++i) {
                values.push_back(when_value<T>(this->template future<T>(i)));
            }
            return values;
        });
    }
};

template <class T>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class AnyOf final : public Derivation<WhenAnyResult<T>> {
public:
    explicit AnyOf(std::vector<Future<T>> futures)
        : Derivation<WhenAnyResult<T>>(futures.size(), Dependencies::Needs::first),
          futures_(std::move(futures)) {
        for (const auto& future : futures_) {
            this->add_own(future.base());
        }
    }

    /// The handles of futures that are made by hand, to be dropped after begin(): then
    /// it shows whether there are others.
    std::vector<Future<T>> hand_made() const {
        std::vector<Future<T>> found;
        for (const auto& future : futures_) {
            if (!future.base().is_owned()) {
                found.push_back(future);
            }
        }
        return found;
    }

private:
    void make(DerivedState<WhenAnyResult<T>>& derived) override {
        derived.settle([this] {
            return WhenAnyResult<T>{this->first(), std::move(futures_)};
        });
    }

    void let_go() noexcept override { futures_.clear(); }

    std::vector<Future<T>> futures_;
};

/// Throws std::invalid_argument.
[[noreturn]] void throw_any_of_none();

template <class Range>
using FutureOf = std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>()))>;

template <class Range>
concept FutureRange = is_future<FutureOf<Range>>;

/// The handles in a range: moved from one that is given away.
template <class Range>
std::vector<FutureOf<Range>> handles_of(Range&& range) {
    std::vector<FutureOf<Range>> handles;
    for (auto& future : range) {
        future.base();  // throws for one that was moved from
        if constexpr (std::is_lvalue_reference_v<Range> || !requires {
                          range.clear();
                      }) {
            handles.push_back(future);
        } else {
            handles.push_back(std::move(future));
        }
    }
    return handles;
}

}  // namespace detail

/// The values of all, once all are there; std::monostate for a Future<void>. If one
/// fails, the new future fails with the same exception at once; if one is cancelled, so
/// is this. Cancelling it leaves the others alone.
template <class... Futures>
    requires(sizeof...(Futures) > 0 && (detail::FutureArgument<Futures> && ...))
auto when_all(Futures&&... fs) {
    constexpr auto why = mp::detail::first_refusal(
        std::is_lvalue_reference_v<Futures> && is_taken_once<detail::ValueOf<Futures>>
            ? mp::detail::Refusal::future_of_uncopyable
            : mp::detail::Refusal::none...
    );
    using All = detail::AllOfTuple<detail::ValueOf<Futures>...>;
    if constexpr (mp::detail::accepts<why, Futures...>()) {
        (static_cast<void>(fs.base()), ...);  // throws for one that was moved from
        const std::tuple<std::remove_cvref_t<Futures>...> held(std::forward<Futures>(fs
        )...);
        auto* const all = new All();
        std::apply(
            [&](const auto&... future) { (all->add(future.base(), true), ...); }, held
        );
        return all->begin();
    } else {
        return Future<std::tuple<detail::WhenValue<detail::ValueOf<Futures>>...>>();
    }
}

/// The same for a range of futures: their values in order, in a vector. Of no futures,
/// an empty one at once.
template <detail::FutureRange Range>
auto when_all(Range&& fs) {
    using T = typename detail::FutureOf<Range>::value_type;
    constexpr auto why = std::is_lvalue_reference_v<Range> && is_taken_once<T>
                             ? mp::detail::Refusal::future_of_uncopyable
                             : mp::detail::Refusal::none;
    if constexpr (mp::detail::accepts<why, Range>()) {
        const auto held = detail::handles_of(std::forward<Range>(fs));
        auto* const all = new detail::AllOfVector<T>(held.size());
        for (const auto& future : held) {
            all->add(future.base(), true);
        }
        return all->begin();
    } else {
        return Future<std::vector<detail::WhenValue<T>>>();
    }
}

/// The same for a list of futures: `when_all({f, g})`.
template <class T>
auto when_all(std::initializer_list<Future<T>> fs) {
    return when_all(std::span<const Future<T>>(fs.begin(), fs.size()));
}

/// Done when the first of these is: finished, also with an exception, or cancelled.
/// Cancelling it leaves the others alone. One made by hand of which nobody else has a
/// handle does not count: of such alone it fails with DependencyError. Throws
/// std::invalid_argument for no futures, which would be waited for in vain.
template <detail::FutureRange Range>
auto when_any(Range&& fs) {
    using T = typename detail::FutureOf<Range>::value_type;
    auto handles = detail::handles_of(std::forward<Range>(fs));
    if (handles.empty()) {
        detail::throw_any_of_none();
    }
    const detail::DependenciesPtr<detail::AnyOf<T>> any(
        new detail::AnyOf<T>(std::move(handles))
    );
    const auto seen = any->hand_made();
    any->keep();  // what begin() drops
    return any->begin();
}

/// The same for a list of futures: `when_any({f, g})`.
template <class T>
auto when_any(std::initializer_list<Future<T>> fs) {
    return when_any(std::span<const Future<T>>(fs.begin(), fs.size()));
}

}  // namespace futures

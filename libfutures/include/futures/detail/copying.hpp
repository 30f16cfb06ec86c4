// SPDX-License-Identifier: BSL-1.0
// Copying: whether values of a type can be copied, looked at more closely than
// std::copy_constructible, which believes what a class declares: a std::vector of
// std::unique_ptr declares a copy constructor that does not compile.
// Python:  none, because results are references.
// Threads: any; nothing here exists at run time, but CopyWay.
#pragma once

#include "mp/detail/type_name.hpp"

#include <atomic>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace futures::detail {

enum class Copying {
    works,
    fails,
    unknown,  ///< a class that hides its members: only the attempt can tell
};

template <class T, class... Seen>
constexpr Copying copying_of();

constexpr Copying copying_of_all(std::initializer_list<Copying> members) {
    Copying all = Copying::works;
    for (const Copying one : members) {
        if (one == Copying::fails || all == Copying::works) {
            all = one;
        }
        if (all == Copying::fails) {
            break;
        }
    }
    return all;
}

/// Initialises any member of an aggregate.
struct AnyMember {
    template <class M>
    operator M() const;  // NOLINT(google-explicit-constructor): what it is for
};

/// Not the probe itself, which is no member.
template <class M, Copying how, class Probe, class... Seen>
concept CopiedAs = !std::same_as<M, Probe> && copying_of<M, Seen...>() == how;

/// Initialises the members whose copying is `how`. It cannot be copied, else a std::any
/// could be made of it.
template <Copying how, class... Seen>
struct MemberWith {
    MemberWith() = default;
    MemberWith(const MemberWith&) = delete;

    template <CopiedAs<how, MemberWith, Seen...> M>
    operator M() const;  // NOLINT(google-explicit-constructor): as above
};

/// Initialises only members that take anything.
struct Anything {
    Anything() = default;
    Anything(const Anything&) = delete;
};

template <class T, std::size_t... before, std::size_t... after, class At>
constexpr bool
initialised_by(std::index_sequence<before...>, At*, std::index_sequence<after...>) {
    return requires {
        T{(static_cast<void>(before), AnyMember())...,
          At(),
          (static_cast<void>(after), AnyMember())...};
    };
}

/// With `At` in place `n` of `count` members, in the order of their declaration.
template <class T, class At, std::size_t n, std::size_t count>
inline constexpr bool initialised_with = initialised_by<T>(
    std::make_index_sequence<n>(),
    static_cast<At*>(nullptr),
    std::make_index_sequence<count - n - 1>()
);

inline constexpr std::size_t most_members_looked_at = 64;

/// How many members an aggregate has, as far as can be told: those of an array count,
/// and some members cannot be initialised like this. 0: nobody knows.
template <class T, std::size_t n = 1>
constexpr std::size_t members_of(std::size_t found = 0) {
    if constexpr (n > most_members_looked_at) {
        return 0;
    } else if constexpr (initialised_with<T, AnyMember, n - 1, n>) {
        return members_of<T, n + 1>(n);
    } else {
        return found != 0 ? found : members_of<T, n + 1>(0);
    }
}

/// An aggregate's `n`th member.
template <class T, std::size_t n, std::size_t count, class... Seen>
constexpr Copying copying_of_member() {
    if constexpr (initialised_with<T, Anything, n, count>) {
        return Copying::unknown;
    } else if constexpr (initialised_with<
                             T,
                             MemberWith<Copying::fails, Seen...>,
                             n,
                             count>) {
        return Copying::fails;
    } else if constexpr (initialised_with<
                             T,
                             MemberWith<Copying::unknown, Seen...>,
                             n,
                             count>) {
        return Copying::unknown;
    } else if constexpr (initialised_with<
                             T,
                             MemberWith<Copying::works, Seen...>,
                             n,
                             count>) {
        return Copying::works;
    } else {
        return Copying::unknown;  // neither does for it
    }
}

template <class T, class... Seen, std::size_t... n>
constexpr Copying copying_of_members(std::index_sequence<n...>) {
    if constexpr (sizeof...(n) == 0) {
        return Copying::unknown;
    } else {
        return copying_of_all({copying_of_member<T, n, sizeof...(n), T, Seen...>()...});
    }
}

template <class... T>
struct Members {};

template <class T>
struct NamedMembers {};
template <class A, class B>
struct NamedMembers<std::pair<A, B>> {
    using type = Members<A, B>;
};
template <class... T>
struct NamedMembers<std::tuple<T...>> {
    using type = Members<T...>;
};
template <class... T>
struct NamedMembers<std::variant<T...>> {
    using type = Members<T...>;
};

template <class... Seen, class... T>
constexpr Copying copying_of_named(Members<T...>) {
    return copying_of_all({copying_of<std::remove_cv_t<T>, Seen...>()...});
}

/// `Seen` are the classes around T: one that holds itself copies as the rest of it.
template <class T, class... Seen>
constexpr Copying copying_of() {
    constexpr bool standard = mp::detail::type_name<T>().starts_with("std::");
    if constexpr (std::is_void_v<T> || (std::is_same_v<T, Seen> || ...)) {
        return Copying::works;
    } else if constexpr (!std::copy_constructible<T>) {
        return Copying::fails;
    } else if constexpr (std::is_trivially_copy_constructible_v<T>) {
        return Copying::works;
    } else if constexpr (requires { typename NamedMembers<T>::type; }) {
        return copying_of_named<T, Seen...>(typename NamedMembers<T>::type());
    } else if constexpr (requires { typename T::value_type; }) {
        using Value = std::remove_cv_t<typename T::value_type>;
        return copying_of_all(
            {standard ? Copying::works : Copying::unknown,
             copying_of<Value, T, Seen...>()}
        );
    } else if constexpr (standard) {
        return Copying::works;
    } else if constexpr (std::is_aggregate_v<T>) {
        return copying_of_members<T, Seen...>(std::make_index_sequence<members_of<T>()>(
        ));
    } else {
        return Copying::unknown;
    }
}

/// T without const.
template <class T>
inline constexpr Copying copying = copying_of<T>();

template <class T>
T copy_of(const T& value) {
    return value;
}

/// How a future's value is copied, where only the attempt can tell whether it can be.
/// The attempt is compiled where a second handle of the future is made, because with
/// one alone nothing is ever copied.
template <class T>
class CopyWay {
public:
    /// Before there is a second handle.
    void expect_copies() noexcept { copy_.store(&copy_of<T>); }

    /// Null if there never was a second handle.
    auto copy_function() const noexcept { return copy_.load(); }

private:
    std::atomic<T (*)(const T&)> copy_{nullptr};
};

/// For types of which it is known.
struct NoCopyWay {
    void expect_copies() const noexcept {}
};

}  // namespace futures::detail

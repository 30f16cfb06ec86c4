// SPDX-License-Identifier: BSL-1.0
// Plain structs: aggregates without a serialize() of their own, which are archived
// member by member. The number of members is how many pairs of braces initialise one.
// Python:  dataclasses.fields, vars.
// Differs: members have no names here; what cannot be taken apart is known when
//          compiling.
// Threads: any; nothing here exists at run time.
#pragma once

#include "mp/detail/members.hpp"
#include "mp/detail/own_serialize.hpp"
#include "mp/detail/refusal.hpp"

#include <cstddef>
#include <type_traits>
#include <utility>

namespace mp::detail {

template <class T>
constexpr bool is_plain_struct() {
    if constexpr (std::is_class_v<T> && std::is_aggregate_v<T> && !std::is_polymorphic_v<T>) {
        return !has_own_serialize<T>;
    } else {
        return false;
    }
}

/// Why a plain struct cannot be taken apart.
using Obstacle = Refusal;

// ---- what initialises members; never defined, as nothing is ever made

/// Any value, for a member that {} does not initialise.
struct Anything {
    template <class T>
    operator T() const;
};

struct AnyReference {
    template <class T>
    operator T&() const;
};

template <class T>
concept Union = std::is_union_v<T>;

struct AnyUnion {
    template <Union T>
    operator T() const;
};

template <class T, class Derived>
concept BaseOf = std::is_base_of_v<T, Derived> && !std::is_same_v<T, Derived>;

template <class Derived>
struct AnyBase {
    template <BaseOf<Derived> T>
    operator T() const;
};

/// For a member that takes whatever there is.
struct NothingElse {};

// ---- the number of members

/// Member number n, from 0, is initialised by a `From` and not by just anything.
template <class T, std::size_t n, class From>
inline constexpr bool takes = Members<n>::template initialise<T, From> &&
                              !Members<n>::template initialise<T, NothingElse>;

template <class T, std::size_t n = 0>
constexpr std::size_t count_braces() {
    if constexpr (n > max_members) {
        return n;
    } else if constexpr (Members<n + 1>::template initialise<T>) {
        return count_braces<T, n + 1>();
    } else {
        return n;
    }
}

/// How many members there are after the first n.
template <class T, std::size_t n, class... More>
constexpr std::size_t count_more() {
    if constexpr (n + sizeof...(More) >= max_members) {
        return 0;
    } else if constexpr (Members<n>::template initialise<T, More..., Anything>) {
        return 1 + count_more<T, n, More..., Anything>();
    } else {
        return 0;
    }
}

template <class T, std::size_t... member>
constexpr bool has_union(std::index_sequence<member...>) {
    return (takes<T, member, AnyUnion> || ...);
}

// ---- the members

template <Refusal why>
struct Whole {
    static constexpr Refusal obstacle = why;
    static constexpr std::size_t count = 0;
    using Types = TypeList<>;
};

template <class List>
struct Apart {
    static constexpr Refusal obstacle =
        List::bit_field ? Refusal::bit_field : Refusal::none;
    using Types = typename List::Types;
    static constexpr std::size_t count = Types::size;
};

template <class T>
constexpr auto take_apart() {
    if constexpr (!Members<0>::initialise<T>) {
        return Whole<Refusal::not_default_constructible>();
    } else if constexpr (std::is_empty_v<T>) {
        return Apart<MemberList<false>>();
    } else if constexpr (takes<T, 0, AnyBase<T>>) {
        return Whole<Refusal::base_class>();
    } else {
        constexpr std::size_t braces = count_braces<T>();
        if constexpr (braces > max_members) {
            return Whole<Refusal::too_many_members>();
        } else {
            constexpr std::size_t count = braces + count_more<T, braces>();
            if constexpr (count == braces && takes<T, braces, AnyReference>) {
                return Whole<Refusal::reference_member>();
            } else if constexpr (has_union<T>(std::make_index_sequence<braces>())) {
                return Whole<Refusal::union_member>();
            } else {
                return Apart<decltype(Members<count>::list(std::declval<T&>()))>();
            }
        }
    }
}

/// What a plain struct consists of.
template <class T>
using Parts = decltype(take_apart<T>());

/// Does not compile if the struct cannot be taken apart. Calls f(members...).
template <class T, class F>
void pass_members(T& value, F f) {
    using PartsOfT = Parts<std::remove_const_t<T>>;
    constexpr Refusal why = PartsOfT::obstacle;
    if constexpr (accepts<why, T>()) {
        Members<PartsOfT::count>::pass(value, f);
    }
}

}  // namespace mp::detail

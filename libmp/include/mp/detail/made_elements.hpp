// SPDX-License-Identifier: BSL-1.0
// How containers travel whose elements have no default constructor, so that a
// load_construct_data() makes each. By value and in a graph: as few bytes are believed
// as of other containers.
// Python:  none, because pickle makes every object by __reduce__.
// Differs: nothing to differ from.
// Threads: one at a time.
#pragma once

#include "mp/archive.hpp"
#include "mp/detail/graph_containers.hpp"
#include "mp/detail/room_ahead.hpp"
#include "mp/detail/type_name.hpp"

#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/detail/stack_constructor.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/serialization.hpp>
#include <boost/serialization/version.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

namespace mp::detail {

template <class T>
concept MadeByFunction = !MadeByDefault<T>;

/// The size of an element where all stand in one block, which has to be large enough
/// before the first of them is pointed to.
template <class Container>
inline constexpr std::size_t size_in_block = 0;

template <class T, class Allocator>
inline constexpr std::size_t size_in_block<std::vector<T, Allocator>> = sizeof(T);

template <WritesMessages Archive, class Container>
void save_made(Archive& archive, const Container& container) {
    using Element = typename Container::value_type;
    constexpr unsigned version = boost::serialization::version<Element>::value;
    const auto count =
        static_cast<std::size_t>(std::distance(container.begin(), container.end()));
    const auto save = [&] {
        archive << boost::serialization::item_version_type(version);
        for (const Element& element : container) {
            boost::serialization::save_construct_data_adl(
                archive, std::addressof(element), version
            );
            archive << element;
        }
    };
    if constexpr (writes<Archive>) {
        save_elements(archive, count, save, size_in_block<Container>);
    } else {
        archive << boost::serialization::collection_size_type(count);
        save();
    }
}

/// `add` puts each of `count` elements into its container, and says where it is now.
template <class Container, ReadsMessages Archive, class Add>
void load_made(Archive& archive, Add add) {
    using Element = typename Container::value_type;
    const auto load = [&](std::size_t count) {
        boost::serialization::item_version_type of_elements(0);
        archive >> of_elements;
        const unsigned version = std::as_const(of_elements);
        constexpr unsigned known = boost::serialization::version<Element>::value;
        if (version > known) {
            throw_newer_version(type_name<Element>(), version, known);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t since = ElementMoves::objects_read(archive);
            boost::serialization::detail::stack_construct<Archive, Element> made(
                archive, version
            );
            Element& element = made.reference();
            archive >> element;
            const Element* const there = add(std::move(element), i, count);
            ElementMoves::note(
                archive, there, static_cast<const Element*>(&element), 1, since
            );
        }
    };
    if constexpr (std::is_same_v<Archive, FullIn>) {
        load_elements(archive, load, size_in_block<Container>);
    } else {
        boost::serialization::collection_size_type size;
        archive >> size;
        load(std::as_const(size));
    }
}

template <class Archive, class T, class Allocator>
void load_made_vector(Archive& archive, std::vector<T, Allocator>& vector) {
    vector.clear();
    const std::uint32_t first = ElementMoves::objects_read(archive);
    std::optional<RoomAhead::Share> share;
    const auto add = [&](T&& element, std::size_t i, std::size_t count) {
        if (i == 0) {
            if constexpr (std::is_same_v<Archive, FullIn>) {
                share.emplace(archive.room(), count, sizeof(T));
                reserve_or_refuse(vector, share->elements());
            } else {
                // Not padded, so only what a small container gets anyway.
                reserve_or_refuse(
                    vector, std::min(count, RoomAhead::least / sizeof(T))
                );
            }
        }
        if (i == vector.capacity()) {
            const T* const before = vector.data();
            reserve_or_refuse(vector, next_room(i, count));
            ElementMoves::note(
                archive, static_cast<const T*>(vector.data()), before, i, first
            );
        }
        vector.push_back(std::move(element));
        return static_cast<const T*>(&vector.back());
    };
    load_made<std::vector<T, Allocator>>(archive, add);
}

/// A list or deque, whose elements stay where they are.
template <class Archive, class List>
void load_made_list(Archive& archive, List& list) {
    using Element = typename List::value_type;
    list.clear();
    load_made<List>(archive, [&](Element&& element, std::size_t, std::size_t) {
        list.push_back(std::move(element));
        return static_cast<const Element*>(&list.back());
    });
}

template <class Archive, class List>
void load_made_forward_list(Archive& archive, List& list) {
    using Element = typename List::value_type;
    list.clear();
    auto last = list.before_begin();
    load_made<List>(archive, [&](Element&& element, std::size_t, std::size_t) {
        last = list.emplace_after(last, std::move(element));
        return static_cast<const Element*>(&*last);
    });
}

/// Sets and maps.
template <class Archive, class Keys>
void load_made_keys(Archive& archive, Keys& keys) {
    using Element = typename Keys::value_type;
    keys.clear();
    load_made<Keys>(archive, [&](Element&& element, std::size_t i, std::size_t) {
        const auto at = keys.emplace_hint(keys.end(), std::move(element));
        check_is_new(keys.size() == i + 1);
        return static_cast<const Element*>(std::addressof(*at));
    });
}

}  // namespace mp::detail

namespace boost::serialization {

// clang-format off
#define MP_DETAIL_MADE(load_it, kinds, type)                                           \
    template <::mp::detail::WritesMessages Archive, kinds>                             \
    void save(Archive& archive, const type& it, const unsigned int) {                  \
        ::mp::detail::save_made(archive, it);                                          \
    }                                                                                  \
    template <::mp::detail::ReadsMessages Archive, kinds>                              \
    void load(Archive& archive, type& it, const unsigned int) {                        \
        ::mp::detail::load_it(archive, it);                                            \
    }
#define MP_DETAIL_TYPES(...) __VA_ARGS__
#define MP_DETAIL_MADE_LIST(load_it, container)                                        \
    MP_DETAIL_MADE(load_it, MP_DETAIL_TYPES(::mp::detail::MadeByFunction U, class A), MP_DETAIL_TYPES(std::container<U, A>))
#define MP_DETAIL_MADE_SET(container)                                                  \
    MP_DETAIL_MADE(load_made_keys, MP_DETAIL_TYPES(::mp::detail::MadeByFunction K, class C, class A), MP_DETAIL_TYPES(std::container<K, C, A>))
#define MP_DETAIL_MADE_HASHED_SET(container)                                           \
    MP_DETAIL_MADE(load_made_keys, MP_DETAIL_TYPES(::mp::detail::MadeByFunction K, class H, class E, class A), MP_DETAIL_TYPES(std::container<K, H, E, A>))

MP_DETAIL_MADE_LIST(load_made_vector, vector)
MP_DETAIL_MADE_LIST(load_made_list, deque)
MP_DETAIL_MADE_LIST(load_made_list, list)
MP_DETAIL_MADE_LIST(load_made_forward_list, forward_list)
MP_DETAIL_MADE_SET(set)
MP_DETAIL_MADE_SET(multiset)
MP_DETAIL_MADE_HASHED_SET(unordered_set)
MP_DETAIL_MADE_HASHED_SET(unordered_multiset)

#undef MP_DETAIL_MADE
#undef MP_DETAIL_TYPES
#undef MP_DETAIL_MADE_LIST
#undef MP_DETAIL_MADE_SET
#undef MP_DETAIL_MADE_HASHED_SET
// clang-format on

}  // namespace boost::serialization

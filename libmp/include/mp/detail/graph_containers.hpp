// SPDX-License-Identifier: BSL-1.0
// How containers of a graph are written and read: with room for no more elements than
// have come, and so that pointers find those that move meanwhile. Every element costs a
// byte, also one that writes none: no number asks for more than the message has.
// Python:  none, because a list grows as its items come.
// Differs: nothing to differ from.
// Threads: one at a time.
#pragma once

#include "mp/detail/archive_errors.hpp"
#include "mp/detail/archive_kind.hpp"
#include "mp/detail/full_archive.hpp"

#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/item_version_type.hpp>

#include <bitset>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <valarray>
#include <vector>

namespace mp::detail {

/// Others are read by Boost's functions, which make elements in their way.
template <class T>
concept MadeByDefault = std::is_default_constructible_v<T>;

template <class T, class Archive>
inline constexpr bool goes_in_block = boost::serialization::use_array_optimization<
    Archive>::template apply<T>::type::value;

template <class Container>
void reserve_or_refuse(Container& container, std::size_t count) {
    try {
        container.reserve(count);
    } catch (const std::bad_alloc&) {
        throw_no_memory(count);
    } catch (const std::length_error&) {
        throw_no_memory(count);
    }
}

// ---- out

/// `size` is that of an element of a vector, or 0.
template <class Save>
void save_elements(FullOut& out, std::size_t count, Save save, std::size_t size = 0) {
    out << boost::serialization::collection_size_type(count);
    const std::size_t begin = out.written();
    const RoomNeeded::Scope scope(out.needed(), count, size, begin);
    save();
    const std::size_t there = out.written() - begin;
    out.pad(count > there ? count - there : 0);
    out.pad(scope.missing(out.written()));
}

template <class Container>
void save_sequence(
    FullOut& out, const Container& container, std::size_t count, std::size_t size = 0
) {
    const auto save = [&] {
        for (const auto& element : container) {
            out << element;
        }
    };
    save_elements(out, count, save, size);
}

template <class Map>
void save_map(FullOut& out, const Map& map) {
    save_elements(out, map.size(), [&] {
        for (const auto& [key, mapped] : map) {
            out << key << mapped;
        }
    });
}

// ---- in

template <class Load>
void load_elements(FullIn& in, Load load, std::size_t size_of_element = 0) {
    boost::serialization::collection_size_type size;
    in >> size;
    const std::size_t count = std::as_const(size);
    const std::size_t left = in.left();
    const RoomNeeded::Scope scope(in.needed(), count, size_of_element, 0 - left);
    load(count);
    const std::size_t read = left - in.left();
    if (read < count) {
        in.skip(count - read);
    }
    in.skip(scope.missing(0 - in.left()));
}

/// Elements of a vector that has no room left move to where it has.
template <class T, class Allocator>
void make_room(
    FullIn& in,
    std::vector<T, Allocator>& vector,
    std::size_t count,
    std::uint32_t since
) {
    const T* const before = vector.data();
    reserve_or_refuse(vector, next_room(vector.size(), count));
    in.objects().move(
        {.to = vector.data(),
         .from = before,
         .size = vector.size() * sizeof(T),
         .since = since,
         .keeps_owned = std::is_nothrow_move_constructible_v<T>}
    );
}

template <class T, class Allocator>
void load_vector(FullIn& in, std::vector<T, Allocator>& vector) {
    load_elements(
        in,
        [&](std::size_t count) {
            vector.clear();
            const RoomAhead::Share share(in.room(), count, sizeof(T));
            reserve_or_refuse(vector, share.elements());
            const std::uint32_t since = in.objects().size();
            for (std::size_t i = 0; i < count; ++i) {
                if (i == vector.capacity()) {
                    make_room(in, vector, count, since);
                }
                in >> vector.emplace_back();
            }
        },
        sizeof(T)
    );
}

template <class T, class Allocator>
void load_block(FullIn& in, std::vector<T, Allocator>& vector) {
    boost::serialization::collection_size_type size;
    in >> size;
    const std::size_t count = std::as_const(size);
    if (count > in.left() / sizeof(T)) {
        throw_bad_length(count, in.left());
    }
    vector.resize(count);
    if (count != 0) {
        in.load_binary(vector.data(), count * sizeof(T));
    }
}

template <class List>
void load_list(FullIn& in, List& list) {
    load_elements(in, [&](std::size_t count) {
        list.clear();
        for (std::size_t i = 0; i < count; ++i) {
            in >> list.emplace_back();
        }
    });
}

/// A key stands in the reader's own place until it is in the container.
template <class Key>
void note_key(FullIn& in, const Key& there, const Key& here, std::uint32_t since) {
    in.objects().move(
        {.to = std::addressof(there),
         .from = std::addressof(here),
         .size = sizeof(Key),
         .since = since,
         .keeps_owned = std::is_nothrow_move_constructible_v<Key>}
    );
}

inline void check_is_new(bool added) {
    if (!added) {
        throw_decode_error("a key that stands twice in a graph");
    }
}

template <class Set>
void load_set(FullIn& in, Set& set) {
    load_elements(in, [&](std::size_t count) {
        set.clear();
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t since = in.objects().size();
            typename Set::key_type key{};
            in >> key;
            const auto at = set.emplace_hint(set.end(), std::move(key));
            check_is_new(set.size() == i + 1);
            note_key(in, *at, key, since);
        }
    });
}

template <class Map>
void load_map(FullIn& in, Map& map) {
    load_elements(in, [&](std::size_t count) {
        map.clear();
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t since = in.objects().size();
            typename Map::key_type key{};
            in >> key;
            const auto at = map.emplace_hint(
                map.end(),
                std::piecewise_construct,
                std::forward_as_tuple(std::move(key)),
                std::tuple<>()
            );
            check_is_new(map.size() == i + 1);
            note_key(in, at->first, key, since);
            in >> at->second;
        }
    });
}

template <class Archive>
concept ReadsMessages =
    std::same_as<Archive, InArchive> || std::same_as<Archive, FullIn>;

template <class Archive>
concept WritesMessages =
    std::same_as<Archive, OutArchive> || std::same_as<Archive, FullOut>;

/// One by one, as they are read.
template <class Archive, class T>
void save_valarray(Archive& archive, const std::valarray<T>& values) {
    if constexpr (std::is_same_v<Archive, FullOut>) {
        save_sequence(archive, values, values.size());
    } else {
        archive << boost::serialization::collection_size_type(values.size());
        for (const T& value : values) {
            archive << value;
        }
    }
}

/// One by one, so that no more are made than there are.
template <class Archive, class T>
void load_values(Archive& archive, std::valarray<T>& values, std::size_t count) {
    const std::uint32_t since = ElementMoves::objects_read(archive);
    std::vector<T> read;
    for (std::size_t i = 0; i < count; ++i) {
        if (i == read.capacity()) {
            const T* const before = read.data();
            reserve_or_refuse(read, next_room(i, count));
            ElementMoves::note(
                archive, static_cast<const T*>(read.data()), before, i, since
            );
        }
        archive >> read.emplace_back();
    }
    values.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = std::move(read[i]);
    }
    if (count != 0) {
        ElementMoves::note(
            archive,
            static_cast<const T*>(std::addressof(values[0])),
            static_cast<const T*>(read.data()),
            count,
            since
        );
    }
}

template <class Archive, class T>
void load_valarray(Archive& archive, std::valarray<T>& values) {
    if constexpr (std::is_same_v<Archive, FullIn>) {
        load_elements(archive, [&](std::size_t count) {
            load_values(archive, values, count);
        });
    } else {
        boost::serialization::collection_size_type size;
        archive >> size;
        load_values(archive, values, std::as_const(size));
    }
}

template <class Archive>
inline constexpr bool writes = std::is_same_v<Archive, FullOut>;

}  // namespace mp::detail

namespace boost::serialization {

template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault U, class A>
void serialize(Archive& archive, std::vector<U, A>& vector, const unsigned int) {
    if constexpr (::mp::detail::goes_in_block<U, Archive>) {
        if constexpr (::mp::detail::writes<Archive>) {
            archive << collection_size_type(vector.size());
            archive.save_binary(vector.data(), vector.size() * sizeof(U));
        } else {
            ::mp::detail::load_block(archive, vector);
        }
    } else if constexpr (::mp::detail::writes<Archive>) {
        ::mp::detail::save_sequence(archive, vector, vector.size(), sizeof(U));
    } else {
        ::mp::detail::load_vector(archive, vector);
    }
}

template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault U, class A>
void serialize(Archive& archive, std::deque<U, A>& deque, const unsigned int) {
    if constexpr (::mp::detail::writes<Archive>) {
        ::mp::detail::save_sequence(archive, deque, deque.size());
    } else {
        ::mp::detail::load_list(archive, deque);
    }
}

template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault U, class A>
void serialize(Archive& archive, std::list<U, A>& list, const unsigned int) {
    if constexpr (::mp::detail::writes<Archive>) {
        ::mp::detail::save_sequence(archive, list, list.size());
    } else {
        ::mp::detail::load_list(archive, list);
    }
}

template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault U, class A>
void serialize(Archive& archive, std::forward_list<U, A>& list, const unsigned int) {
    if constexpr (::mp::detail::writes<Archive>) {
        const auto size = std::distance(list.begin(), list.end());
        ::mp::detail::save_sequence(archive, list, static_cast<std::size_t>(size));
    } else {
        ::mp::detail::load_elements(archive, [&](std::size_t count) {
            list.clear();
            auto last = list.before_begin();
            for (std::size_t i = 0; i < count; ++i) {
                last = list.emplace_after(last);
                archive >> *last;
            }
        });
    }
}

// clang-format off
#define MP_DETAIL_KEYS(container, load_keys, save_keys, ...)                           \
    (Archive& archive, std::container<__VA_ARGS__>& it, const unsigned int) {          \
        if constexpr (::mp::detail::writes<Archive>) {                                 \
            ::mp::detail::save_keys;                                                   \
        } else {                                                                       \
            ::mp::detail::load_keys(archive, it);                                      \
        }                                                                              \
    }
#define MP_DETAIL_SET(container)                                                       \
    template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault K, class C, class A> \
    void serialize MP_DETAIL_KEYS(container, load_set, save_sequence(archive, it, it.size()), K, C, A)
#define MP_DETAIL_HASHED_SET(container)                                                \
    template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault K, class H, class E, class A> \
    void serialize MP_DETAIL_KEYS(container, load_set, save_sequence(archive, it, it.size()), K, H, E, A)
#define MP_DETAIL_MAP(container)                                                       \
    template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault T, ::mp::detail::MadeByDefault K, class C, class A> \
    void serialize MP_DETAIL_KEYS(container, load_map, save_map(archive, it), K, T, C, A)
#define MP_DETAIL_HASHED_MAP(container)                                                \
    template <::mp::detail::OwnArchive Archive, ::mp::detail::MadeByDefault K, ::mp::detail::MadeByDefault T, class H, class E, class A> \
    void serialize MP_DETAIL_KEYS(container, load_map, save_map(archive, it), K, T, H, E, A)

MP_DETAIL_SET(set)
MP_DETAIL_SET(multiset)
MP_DETAIL_HASHED_SET(unordered_set)
MP_DETAIL_HASHED_SET(unordered_multiset)
MP_DETAIL_MAP(map)
MP_DETAIL_MAP(multimap)
MP_DETAIL_HASHED_MAP(unordered_map)
MP_DETAIL_HASHED_MAP(unordered_multimap)

#undef MP_DETAIL_KEYS
#undef MP_DETAIL_SET
#undef MP_DETAIL_HASHED_SET
#undef MP_DETAIL_MAP
#undef MP_DETAIL_HASHED_MAP
// clang-format on

// What Boost would believe of these.

template <::mp::detail::ReadsMessages Archive, std::size_t size>
void load(Archive& archive, std::bitset<size>& bits, const unsigned int) {
    std::string text;
    archive >> text;
    if (text.size() != size || text.find_first_not_of("01") != std::string::npos) {
        ::mp::detail::throw_decode_error("a bitset of another size, or not of bits");
    }
    bits = std::bitset<size>(text);
}

template <::mp::detail::WritesMessages Archive, class U>
void save(Archive& archive, const std::valarray<U>& values, const unsigned int) {
    ::mp::detail::save_valarray(archive, values);
}

template <::mp::detail::ReadsMessages Archive, class U>
void load(Archive& archive, std::valarray<U>& values, const unsigned int) {
    ::mp::detail::load_valarray(archive, values);
}

}  // namespace boost::serialization

// SPDX-License-Identifier: BSL-1.0
// serialize() for the standard types that Boost leaves out, for when they are inside an
// object that travels through a pointer. By value the flat archive knows them itself.
// Python:  none, because every built-in type can be pickled.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "mp/archive.hpp"
#include "mp/detail/full_archive.hpp"

#include <boost/serialization/split_free.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace boost::archive {

class binary_oarchive;
class binary_iarchive;

}  // namespace boost::archive

namespace mp::detail {

/// Boost has some of these functions from 1.84 on, in headers that a program may
/// include or not. Ours are then for the archives that messages meet, where they are
/// the more constrained ones.
template <class Archive>
concept ForStdTypes =
    BOOST_VERSION < 108400 || OwnArchive<Archive> ||
    std::is_same_v<Archive, OutArchive> || std::is_same_v<Archive, InArchive> ||
    std::is_same_v<Archive, boost::archive::binary_oarchive> ||
    std::is_same_v<Archive, boost::archive::binary_iarchive>;

template <class... T, std::size_t... I>
void emplace_alternative(std::variant<T...>& value, std::size_t index, std::index_sequence<I...>) {
    (void)((index == I && (value.template emplace<I>(), true)) || ...);
}

}  // namespace mp::detail

// "::mp", because one of Boost's headers has a boost::serialization::mp.
namespace boost::serialization {

template <::mp::detail::ForStdTypes Archive, class... T>
void serialize(Archive& ar, std::tuple<T...>& value, const unsigned int) {
    std::apply([&ar](T&... members) { ((ar & members), ...); }, value);
}

template <::mp::detail::ForStdTypes Archive, class Rep, class Period>
void serialize(
    Archive& ar, std::chrono::duration<Rep, Period>& value, const unsigned int
) {
    Rep count = value.count();
    ar& count;
    value = std::chrono::duration<Rep, Period>(count);
}

template <::mp::detail::ForStdTypes Archive, class Clock, class Duration>
void serialize(
    Archive& ar, std::chrono::time_point<Clock, Duration>& value, const unsigned int
) {
    Duration since = value.time_since_epoch();
    ar& since;
    value = std::chrono::time_point<Clock, Duration>(since);
}

template <::mp::detail::ForStdTypes Archive>
void serialize(Archive& ar, std::filesystem::path& value, const unsigned int) {
    std::string native = value.native();
    ar& native;
    if constexpr (Archive::is_loading::value) {
        value = std::filesystem::path(std::move(native));
    }
}

template <::mp::detail::ForStdTypes Archive>
void serialize(Archive&, std::monostate&, const unsigned int) {}

template <::mp::detail::ForStdTypes Archive, class T>
void serialize(Archive& ar, std::optional<T>& value, const unsigned int) {
    bool has_value = value.has_value();
    ar& has_value;
    if constexpr (Archive::is_loading::value) {
        if (has_value) {
            value.emplace();
        } else {
            value.reset();
        }
    }
    if (has_value) {
        ar&* value;
    }
}

template <::mp::detail::ForStdTypes Archive, class... T>
void serialize(Archive& ar, std::variant<T...>& value, const unsigned int) {
    if (value.valueless_by_exception()) {
        ::mp::detail::throw_encode_error("a variant that holds no value");
    }
    auto index = static_cast<std::uint32_t>(value.index());
    ar& index;
    if constexpr (Archive::is_loading::value) {
        if (index >= sizeof...(T)) {
            ::mp::detail::throw_decode_error(
                "a variant has no alternative of that index"
            );
        }
        ::mp::detail::emplace_alternative(
            value, index, std::index_sequence_for<T...>()
        );
    }
    std::visit([&ar](auto& held) { ar& held; }, value);
}

}  // namespace boost::serialization

// SPDX-License-Identifier: BSL-1.0
// serialize() for the standard types that Boost leaves out, for when they are inside an
// object that travels through a pointer. By value the flat archive knows them itself.
// Python:  none, because every built-in type can be pickled.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "mp/archive.hpp"

#include <boost/serialization/split_free.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#if BOOST_VERSION >= 108400
#include <boost/serialization/optional.hpp>
#include <boost/serialization/variant.hpp>
#endif

namespace mp::detail {

template <class... T, std::size_t... I>
void emplace_alternative(std::variant<T...>& value, std::size_t index, std::index_sequence<I...>) {
    (void)((index == I && (value.template emplace<I>(), true)) || ...);
}

}  // namespace mp::detail

namespace boost::serialization {

template <class Archive, class... T>
void serialize(Archive& ar, std::tuple<T...>& value, unsigned) {
    std::apply([&ar](T&... members) { ((ar & members), ...); }, value);
}

template <class Archive, class Rep, class Period>
void serialize(Archive& ar, std::chrono::duration<Rep, Period>& value, unsigned) {
    Rep count = value.count();
    ar& count;
    value = std::chrono::duration<Rep, Period>(count);
}

template <class Archive, class Clock, class Duration>
void serialize(Archive& ar, std::chrono::time_point<Clock, Duration>& value, unsigned) {
    Duration since = value.time_since_epoch();
    ar& since;
    value = std::chrono::time_point<Clock, Duration>(since);
}

template <class Archive>
void serialize(Archive& ar, std::filesystem::path& value, unsigned) {
    std::string native = value.native();
    ar& native;
    if constexpr (Archive::is_loading::value) {
        value = std::filesystem::path(std::move(native));
    }
}

#if BOOST_VERSION < 108400

template <class Archive>
void serialize(Archive&, std::monostate&, unsigned) {}

template <class Archive, class T>
void serialize(Archive& ar, std::optional<T>& value, unsigned) {
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

template <class Archive, class... T>
void serialize(Archive& ar, std::variant<T...>& value, unsigned) {
    if (value.valueless_by_exception()) {
        mp::detail::throw_encode_error("a variant that holds no value");
    }
    auto index = static_cast<std::uint32_t>(value.index());
    ar& index;
    if constexpr (Archive::is_loading::value) {
        if (index >= sizeof...(T)) {
            mp::detail::throw_decode_error("a variant has no alternative of that index"
            );
        }
        mp::detail::emplace_alternative(value, index, std::index_sequence_for<T...>());
    }
    std::visit([&ar](auto& held) { ar& held; }, value);
}

#endif

}  // namespace boost::serialization

// SPDX-License-Identifier: BSL-1.0
// What classes tell Boost about their objects, as both archives ask it.
// Python:  none, because every object can tell pickle about itself.
#pragma once

#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/level.hpp>
#include <boost/serialization/tracking.hpp>
#include <boost/serialization/version.hpp>

namespace mp::detail {

/// Boost's make_array(): elements without their number.
template <class T>
inline constexpr bool is_array_wrapper = false;
template <class T>
inline constexpr bool is_array_wrapper<boost::serialization::array_wrapper<T>> = true;

/// A class can tell Boost that nobody asks for the identity of its objects.
template <class T>
inline constexpr bool is_never_tracked =
    boost::serialization::tracking_level<T>::value == boost::serialization::track_never;

template <class T>
inline constexpr bool has_class_version =
    boost::serialization::implementation_level<T>::value >=
    boost::serialization::object_class_info;

/// The version that a message names; 0 for a class without one.
template <class T>
constexpr unsigned class_version() {
    return has_class_version<T>
               ? static_cast<unsigned>(boost::serialization::version<T>::value)
               : 0;
}

}  // namespace mp::detail

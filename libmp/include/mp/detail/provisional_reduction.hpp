// SPDX-License-Identifier: BSL-1.0
// Stands in for mp/reduction.hpp until that exists; nothing else includes it.
#pragma once
#include "mp/detail/bytes.hpp"
#include "mp/detail/type_name.hpp"
#include "mp/errors.hpp"

#include <boost/serialization/access.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>
namespace mp {
template <class T>
inline constexpr bool is_archivable = !std::is_pointer_v<T>;
template <class T>
concept Archivable = is_archivable<T>;
namespace detail {
template <class T>
inline constexpr bool isvec = false;
template <class T>
inline constexpr bool isvec<std::vector<T>> = true;
template <class T>
inline constexpr bool isup = false;
template <class T>
inline constexpr bool isup<std::unique_ptr<T>> = true;
struct OA;
struct IA;
template <class T>
void encode(ByteWriter& o, const T& v);
template <class T>
T decode(ByteReader& i);
struct OA {
    ByteWriter& o;
    template <class T>
    OA& operator&(T& v) {
        encode(o, v);
        return *this;
    }
};
struct IA {
    ByteReader& i;
    template <class T>
    IA& operator&(T& v) {
        v = decode<T>(i);
        return *this;
    }
};
template <class T>
void encode(ByteWriter& o, const T& v) {
    if constexpr (requires(OA a) { const_cast<T&>(v).serialize(a, 0u); }) {
        OA a{o};
        const_cast<T&>(v).serialize(a, 0u);
    } else if constexpr (std::is_same_v<T, std::string>) {
        o.put_value(v.size());
        o.put(v.data(), v.size());
    } else if constexpr (isvec<T>) {
        o.put_value(v.size());
        for (auto& x : v)
            encode(o, x);
    } else if constexpr (isup<T>) {
        encode(o, *v);
    } else if constexpr (!std::is_trivially_copyable_v<T>) {
        OA a{o};
        boost::serialization::access::serialize(a, const_cast<T&>(v), 0u);
    } else
        o.put_value(v);
}
template <class T>
T decode(ByteReader& i) {
    if constexpr (requires(IA a, T & v) { v.serialize(a, 0u); }) {
        IA a{i};
        T v{};
        v.serialize(a, 0u);
        return v;
    } else if constexpr (std::is_same_v<T, std::string>) {
        auto n = i.get_value<std::size_t>();
        auto b = i.view(n);
        return T(reinterpret_cast<const char*>(b.data()), n);
    } else if constexpr (isvec<T>) {
        auto n = i.get_value<std::size_t>();
        T v;
        while (n--)
            v.push_back(decode<typename T::value_type>(i));
        return v;
    } else if constexpr (isup<T>) {
        return std::make_unique<typename T::element_type>(
            decode<typename T::element_type>(i)
        );
    } else if constexpr (!std::is_trivially_copyable_v<T>) {
        IA a{i};
        T v{};
        boost::serialization::access::serialize(a, v, 0u);
        return v;
    } else
        return i.get_value<T>();
}
}  // namespace detail
template <class T>
std::vector<std::byte> dumps(const T& t) {
    detail::ByteWriter w;
    detail::encode(w, t);
    return {w.data().begin(), w.data().end()};
}
template <class T>
T loads(std::span<const std::byte> s) {
    detail::ByteReader r(s);
    return detail::decode<T>(r);
}
}  // namespace mp
namespace mp {
using OutArchive = detail::OA;
}  // namespace mp

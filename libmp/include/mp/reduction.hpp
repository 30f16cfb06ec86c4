// SPDX-License-Identifier: BSL-1.0
// dumps and loads: a value as bytes that another process can read.
// Python:  multiprocessing.reduction.ForkingPickler.dumps, pickle.loads.
// Differs: both sides name the type; there is no reducer table, a type describes itself
//          by Boost.Serialization's `serialize`. Objects behind pointers also need
//          <mp/serialization.hpp>.
// Threads: any; each call has an archive of its own.
// Throws:  SerializationError; what a serialize() throws, unchanged.
#pragma once

#include "mp/archivable.hpp"
#include "mp/archive.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/refusal.hpp"
#include "mp/detail/value_refusal.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mp {

namespace detail {

/// Rethrows the exception being handled; errors of the archives say `type`.
[[noreturn]] void rethrow_encode_error(std::string_view type);
[[noreturn]] void rethrow_decode_error(std::string_view type);

[[noreturn]] void throw_left_over(std::size_t bytes, std::string_view type);

/// Appends `value`. When it throws, `out` may hold a part of it.
template <class T>
void encode(ByteWriter& out, const T& value) {
    if constexpr (kind_of<T>() == Kind::scalar) {
        out.put_value(value);
    } else {
        try {
            OutArchive(out) << value;
        } catch (...) {
            rethrow_encode_error(type_name<T>());
        }
    }
}

template <class T>
void decode_at(ByteReader& in, T& value, bool moves) {
    try {
        if constexpr (kind_of<T>() == Kind::scalar) {
            value = in.get_value<T>();
        } else {
            InArchive archive(in);
            archive >> value;
            ReadEnd::check(archive, value, moves);
        }
    } catch (...) {
        rethrow_decode_error(type_name<T>());
    }
}

/// Reads into an existing value.
template <class T>
void decode_into(ByteReader& in, T& value) {
    decode_at(in, value, false);
}

/// In a function of its own, so that the value is made where it is wanted.
template <class T>
T decode_in_place(ByteReader& in) {
    T value = make_for_decoding<T>();
    decode_at(in, value, true);
    return value;
}

/// The next value; more may follow it.
template <class T>
T decode(ByteReader& in) {
    if constexpr (!std::is_same_v<DecodedAs<T>, T>) {
        return T(decode<DecodedAs<T>>(in));
    } else {
        return decode_in_place<T>(in);
    }
}

}  // namespace detail

/// The bytes of `value`.
template <class T>
std::vector<std::byte> dumps(const T& value) {
    detail::ByteWriter out;
    if constexpr (detail::accepts<detail::refusal_of_archived<T>(), T>()) {
        detail::encode(out, value);
    }
    const auto bytes = out.data();
    return {bytes.begin(), bytes.end()};
}

/// The value that dumps() was given. Throws SerializationError{decode} unless `bytes`
/// are those of exactly one T. Bytes of a peer that is not authenticated are safe for
/// types without pointers, and for graphs of classes that do not delete what a raw
/// pointer names; see docs/concepts/reduction.md.
template <class T>
T loads(std::span<const std::byte> bytes) {
    if constexpr (detail::accepts<detail::refusal_of_archived<T>(), T>()) {
        detail::ByteReader in(bytes);
        T value = detail::decode<T>(in);
        if (in.left() != 0) {
            detail::throw_left_over(in.left(), detail::type_name<T>());
        }
        return value;
    } else {
        throw detail::Refused();
    }
}

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// ExceptionType: how exceptions of one type become bytes and themselves again.
// Python:  copyreg, for the exceptions that define no __reduce__.
// Differs: a type must be known to be rebuilt; others arrive as RemoteError.
// Threads: any; the list only grows, and reading it takes no lock, so a forked child
//          may read it too.
#pragma once

#include "mp/call.hpp"
#include "mp/detail/nested_exception.hpp"

#include <atomic>
#include <exception>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace mp::detail {

struct ExceptionType {
    const std::type_info* type;
    /// Called while such an exception is being handled: writes what it holds besides
    /// its text. Null if that is nothing.
    void (*save)(ByteWriter& out);
    /// Makes one from its text and what save() wrote, with `cause` nested in it. Null
    /// if it cannot be made.
    std::exception_ptr (*make
    )(ByteReader& in, const std::string& what, const std::exception_ptr& cause);
    std::atomic<bool> listed{false};
    const ExceptionType* next = nullptr;
};

/// Adds `type` to the list; a second time does nothing. It must live for ever.
void list_exception_type(ExceptionType& type) noexcept;

template <class E>
std::exception_ptr
make_from_text(ByteReader&, const std::string& what, const std::exception_ptr& cause) {
    return with_cause(E(what), cause);
}

template <class E>
void save_value(ByteWriter& out) {
    try {
        throw;
    } catch (const E& error) {
        encode(out, error);
    }
}

template <class E>
std::exception_ptr
make_from_value(ByteReader& in, const std::string&, const std::exception_ptr& cause) {
    return with_cause(decode<E>(in), cause);
}

template <class E>
concept HasSerialize = requires(E& error, OutArchive& archive) {
    error.serialize(archive, 0U);
};

/// One per type, however often it is registered.
template <class E>
ExceptionType& exception_type() {
    // A plain struct whose first member is a text could be made from one, too.
    constexpr bool as_value = HasSerialize<E> || kind_of<E>() == Kind::plain_struct;
    if constexpr (!as_value && std::is_constructible_v<E, const std::string&>) {
        static constinit ExceptionType type{&typeid(E), nullptr, make_from_text<E>};
        return type;
    } else {
        static_assert(
            Archivable<E> && std::is_default_constructible_v<E>,
            "an exception type that is to travel needs a constructor from std::string "
            "(it gets what()), or serialize() and a default constructor"
        );
        static constinit ExceptionType type{
            &typeid(E), save_value<E>, make_from_value<E>};
        return type;
    }
}

}  // namespace mp::detail

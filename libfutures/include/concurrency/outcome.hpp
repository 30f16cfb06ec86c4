// SPDX-License-Identifier: BSL-1.0
// Outcome: what came out of a task, a value or an error; and return_exceptions, the tag
// that asks for outcomes.
// Python:  the "value or exception" in the results of asyncio.gather and the patterns
//          of lionpride.libs.concurrency with return_exceptions=True.
// Differs: a type of its own, since a value might be an exception as well.
// Threads: any; they are values.
// Read next: concurrency/gather.hpp
#pragma once

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

namespace concurrency {

/// The type of return_exceptions.
struct ReturnExceptions {};

/// Asks for errors as results: gather(return_exceptions, ...).
inline constexpr ReturnExceptions return_exceptions{};

namespace detail {

template <class T>
struct ValueTraits {
    using type = T;
};

template <>
struct ValueTraits<void> {
    using type = std::monostate;
};

template <class T>
struct ValueTraits<T&> {
    using type = std::reference_wrapper<T>;
};

/// A T that can be stored.
template <class T>
using Value = typename ValueTraits<T>::type;

}  // namespace detail

/// A value, or the exception that was thrown in its place: a std::variant of both, in
/// this order, with names. Outcome<void> has std::monostate for its value, Outcome<T&>
/// a std::reference_wrapper.
template <class T>
class Outcome : public std::variant<detail::Value<T>, std::exception_ptr> {
public:
    using value_type = detail::Value<T>;
    using std::variant<value_type, std::exception_ptr>::variant;

    /// Whether there is a value.
    bool has_value() const noexcept { return this->index() == 0; }

    /// The value; throws the error where there is one.
    value_type& value() & {
        check();
        return *std::get_if<0>(this);
    }

    const value_type& value() const& {
        check();
        return *std::get_if<0>(this);
    }

    value_type&& value() && {
        check();
        return std::move(*std::get_if<0>(this));
    }

    /// The error; null where there is a value.
    std::exception_ptr error() const noexcept {
        const std::exception_ptr* error = std::get_if<1>(this);
        return error != nullptr ? *error : nullptr;
    }

    /// Errors have no order. Said here, because std::variant would only say so when it
    /// is too late for std::optional and std::pair to do without.
    friend void operator<=>(const Outcome&, const Outcome&) = delete;

private:
    void check() const {
        if (const std::exception_ptr* error = std::get_if<1>(this)) {
            std::rethrow_exception(*error);
        }
    }
};

}  // namespace concurrency

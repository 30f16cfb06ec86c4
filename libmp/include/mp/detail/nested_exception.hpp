// SPDX-License-Identifier: BSL-1.0
// nested_exception: an exception with the one that caused it.
// Python:  raise ... from cause; __cause__.
// Differs: the cause is nested in the exception, as std::throw_with_nested() does it.
// Threads: any.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

namespace mp::detail {

/// `error` with `cause` nested in it, as std::throw_with_nested() throws it; `error`
/// alone when there is no cause. A new exception object at each call. Null if copying
/// `error` throws.
template <class E>
std::exception_ptr with_cause(E&& error, const std::exception_ptr& cause) {
    using Error = std::remove_cvref_t<E>;
    try {
        if (cause == nullptr) {
            throw std::forward<E>(error);
        }
        try {
            std::rethrow_exception(cause);
        } catch (...) {
            std::throw_with_nested(std::forward<E>(error));
        }
    } catch (const Error&) {
        return std::current_exception();
    } catch (...) {
        return nullptr;
    }
}

/// What is nested in the exception that is being handled; null if nothing is.
std::exception_ptr current_cause() noexcept;

}  // namespace mp::detail

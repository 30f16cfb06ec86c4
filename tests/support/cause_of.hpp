// SPDX-License-Identifier: BSL-1.0
// cause_of(error): the exception that is nested in another.
#pragma once

#include <exception>

namespace test {

/// Null when there is none.
inline std::exception_ptr cause_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::nested_exception& e) {
        return e.nested_ptr();
    } catch (...) {
        return nullptr;
    }
}

}  // namespace test

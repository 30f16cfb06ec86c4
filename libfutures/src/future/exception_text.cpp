// SPDX-License-Identifier: BSL-1.0
#include "future/exception_text.hpp"

#include "util/demangle.hpp"

namespace futures::detail {

namespace {

std::string current_type() {
    return mp::detail::current_exception_type("an unknown exception");
}

}  // namespace

std::string type_name(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (...) {
        return current_type();
    }
}

std::string current_exception_text() {
    try {
        throw;
    } catch (const std::exception& error) {
        return current_type() + ": " + error.what();
    } catch (...) {
        return current_type();
    }
}

}  // namespace futures::detail

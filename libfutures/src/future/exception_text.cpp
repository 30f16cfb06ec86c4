// SPDX-License-Identifier: BSL-1.0
#include "future/exception_text.hpp"

#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <typeinfo>

namespace futures::detail {

namespace {

std::string current_exception_type() {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return type != nullptr ? demangled(type->name()) : "an unknown exception";
}

}  // namespace

std::string demangled(const char* name) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(
        abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free
    );
    return status == 0 ? text.get() : name;
}

std::string type_name(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (...) {
        return current_exception_type();
    }
}

std::string current_exception_text() {
    try {
        throw;
    } catch (const std::exception& error) {
        return current_exception_type() + ": " + error.what();
    } catch (...) {
        return current_exception_type();
    }
}

}  // namespace futures::detail

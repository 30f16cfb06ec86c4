// SPDX-License-Identifier: BSL-1.0
#include "util/demangle.hpp"

#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <memory>
#include <typeinfo>

namespace mp::detail {

std::string demangled(const char* symbol) {
    // It may have come in a message, and a demangler takes stack for each part.
    constexpr std::size_t longest = 16UL * 1024;
    if (::strnlen(symbol, longest) == longest) {
        return symbol;
    }
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free
    );
    return text != nullptr ? text.get() : symbol;
}

std::string current_exception_type(const char* unknown) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    return type != nullptr ? demangled(type->name()) : unknown;
}

}  // namespace mp::detail

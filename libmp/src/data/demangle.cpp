// SPDX-License-Identifier: BSL-1.0
#include "data/demangle.hpp"

#include <cstdlib>
#include <cxxabi.h>
#include <memory>

namespace mp::detail {

std::string demangled(const char* symbol) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free
    );
    return text != nullptr ? text.get() : symbol;
}

}  // namespace mp::detail

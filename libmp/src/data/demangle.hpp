// SPDX-License-Identifier: BSL-1.0
// demangle: the C++ spelling of a linker symbol or of std::type_info::name().
#pragma once

#include <string>

namespace mp::detail {

/// "std::runtime_error" for "St13runtime_error"; `symbol` itself where it is none.
std::string demangled(const char* symbol);

}  // namespace mp::detail

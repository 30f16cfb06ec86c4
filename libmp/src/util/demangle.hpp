// SPDX-License-Identifier: BSL-1.0
// demangle: the C++ spelling of a linker symbol or of std::type_info::name().
#pragma once

#include <string>

namespace mp::detail {

/// "std::runtime_error" for "St13runtime_error"; `symbol` itself where it is none.
std::string demangled(const char* symbol);

/// The type of the exception that is being handled; `unknown` when there is none to be
/// known, as of one that another language threw.
std::string current_exception_type(const char* unknown);

}  // namespace mp::detail

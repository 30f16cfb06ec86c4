// SPDX-License-Identifier: BSL-1.0
// exception_text: exceptions as text, for messages.
#pragma once

#include <exception>
#include <string>

namespace futures::detail {

/// "std::bad_alloc". Requires: not null.
std::string type_name(const std::exception_ptr& exception);

/// "std::runtime_error: what it says". Requires: an exception is being handled.
std::string current_exception_text();

}  // namespace futures::detail

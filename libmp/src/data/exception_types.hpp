// SPDX-License-Identifier: BSL-1.0
// The list of the exception types that can be rebuilt.
#pragma once

#include "mp/detail/exception_type.hpp"

namespace mp::detail {

/// The newest entry; std's and mp's types are always there.
const ExceptionType* first_exception_type() noexcept;

}  // namespace mp::detail

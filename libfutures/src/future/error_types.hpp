// SPDX-License-Identifier: BSL-1.0
// The library's own exceptions as data: a task that uses futures itself may throw them.
#pragma once

namespace futures::detail {

/// Lets the exceptions of futures/errors.hpp arrive as themselves. Calling it again
/// does nothing.
void list_error_types();

}  // namespace futures::detail

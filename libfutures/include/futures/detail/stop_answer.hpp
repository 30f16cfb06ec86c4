// SPDX-License-Identifier: BSL-1.0
// StopAnswer: what an executor says when a call is to be stopped that may have begun.
// Python:  none, because there a call that runs cannot be cancelled.
// Differs: nothing to differ from.
// Threads: any; it is a value.
#pragma once

#include <cstdint>

namespace futures::detail {

enum class StopAnswer : std::uint8_t {
    no,      ///< it has ended, or nobody can stop it
    yes,     ///< it is being stopped
    queued,  ///< it has not begun, or not again: cancel it
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// call_outcome: what a worker tells of a call that threw.
// Threads: any.
#pragma once

#include "mp/call.hpp"

#include <string>

namespace futures::detail {

/// Writes the exception that is being handled, thrown in that phase of a call; `where`
/// says in which process. Without memory even for a short text of it, ends the process.
void encode_current(
    mp::detail::CallPhase phase, mp::detail::ByteWriter& out, const std::string& where
) noexcept;

/// Whether what is being handled is a CancelledError.
bool handling_cancelled_error() noexcept;

}  // namespace futures::detail

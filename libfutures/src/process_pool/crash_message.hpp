// SPDX-License-Identifier: BSL-1.0
// crash_message: why a program ended itself: the exception of std::terminate(), and
// what assert() or another check of the C library said.
#pragma once

#include "process_pool/board_layout.hpp"

#include <string>

namespace futures::detail {

/// In a worker, once: a terminate handler that writes the exception down before it does
/// what the one before it did, and where the C library's last words will be.
void prepare_crash_message(CrashMessage& message);

/// What the C library said before it called abort(), unless something is written there
/// already. Async-signal-safe.
void write_abort_message(CrashMessage& message) noexcept;

/// In the parent. The message may hold anything.
std::string crash_message_in_words(const CrashMessage& message);

/// The text without what a terminal would obey: control characters but new lines and
/// tabs become '?'.
std::string printable(std::string text);

}  // namespace futures::detail

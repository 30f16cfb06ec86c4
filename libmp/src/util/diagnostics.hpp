// SPDX-License-Identifier: BSL-1.0
// diagnostics: how the library itself logs. The logging library is known to log.cpp and
// mp/log.hpp only.
// Python:  multiprocessing.util.sub_debug, debug, info, sub_warning, warn.
// Differs: there is always a logger; see mp/log.hpp for what it shows.
// Threads: any, also in a forked child: logging takes no lock of ours.
#pragma once

#include <string_view>

namespace mp::detail {

// The file and line are those of the caller.

/// An error that no caller can get. Shown on stderr unless the program turned it off.
void log_error(
    std::string_view message,
    const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) noexcept;

void log_warning(
    std::string_view message,
    const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) noexcept;

/// Shown on stderr, too, where errors are.
void log_warning_on_stderr(
    std::string_view message,
    const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) noexcept;

void log_info(
    std::string_view message,
    const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) noexcept;

void log_debug(
    std::string_view message,
    const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) noexcept;

/// What a child that is not a fork needs to log like its parent: the level, and whether
/// log_to_stderr() was called. A number for set_log_level() only.
int log_level() noexcept;
void set_log_level(int parents_log_level);

/// The name that log lines carry; "MainProcess" until set. Call it in a child before
/// anything is logged, and when the process is renamed.
void set_log_process_name(std::string_view name);
std::string_view log_process_name() noexcept;

}  // namespace mp::detail

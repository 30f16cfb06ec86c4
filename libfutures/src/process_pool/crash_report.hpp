// SPDX-License-Identifier: BSL-1.0
// crash_report: what a worker that crashes leaves in shared memory, and what the parent
// makes of it.
#pragma once

#include "futures/errors.hpp"

#include "process_pool/board_layout.hpp"

#include <optional>
#include <string>

namespace futures::detail {

/// In a worker: handlers for the signals of crashes, which fill `record` and let the
/// signal do what it would have done. The record must live for ever.
void install_crash_reporter(CrashRecord& record);

/// How a worker's process ended, in words: "was killed by signal 11 (SIGSEGV)",
/// "exited with code 3".
std::string end_in_words(std::optional<int> exitcode);

/// Adds what the record says. `exitcode` as Process::exitcode().
void fill_crash_report(
    CrashReport& report, const CrashRecord& record, std::optional<int> exitcode
);

}  // namespace futures::detail

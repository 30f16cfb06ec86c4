// SPDX-License-Identifier: BSL-1.0
// crash_report: what a worker that crashes leaves in shared memory, and what the parent
// makes of it.
#pragma once

#include "futures/errors.hpp"
#include "mp/process_handle.hpp"

#include "process_pool/board_layout.hpp"

#include <memory>
#include <optional>
#include <string>

namespace futures::detail {

/// In a worker: handlers for the signals of crashes, which fill the record in `control`
/// and let the signal do what it would have done. It must live for ever.
void install_crash_reporter(WorkerControl& control);

/// In a worker, before each task: now.
void note_task_begun(WorkerControl& control) noexcept;

/// Signal or exit status. `exitcode` as Process::exitcode().
void set_end(CrashReport& report, std::optional<int> exitcode);

/// Adds how the process ended, what it used, and what the worker left, of which each
/// part is copied before it is looked at. Returns the stack, if there is one.
std::unique_ptr<const UnreadStack> fill_crash_report(
    CrashReport& report, const WorkerControl& control, const mp::ProcessHandle& process
);

}  // namespace futures::detail

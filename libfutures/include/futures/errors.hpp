// SPDX-License-Identifier: BSL-1.0
// The exceptions of libfutures, under Python's names.
// Python:  concurrent.futures (CancelledError, InvalidStateError, TimeoutError,
//          BrokenExecutor), .thread.BrokenThreadPool, .process.BrokenProcessPool.
// Differs: TimeoutError is this library's own type, not mp::TimeoutError; WorkerLost
//          carries what is known about the crash; TaskTimeout and DeadlockError are
//          new.
// Threads: any; they are values.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace futures {

/// What a future's own state forbids.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The future was cancelled, so it has no result.
struct CancelledError : Error {
    CancelledError() : Error("the future was cancelled") {}

    using Error::Error;
};

/// The future is in a state that does not allow the call (set_result() twice).
struct InvalidStateError : Error {
    using Error::Error;
};

/// A wait for futures ended before they did. The futures go on.
struct TimeoutError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A task ran longer than its own limit, and was stopped.
struct TaskTimeout : TimeoutError {
    using TimeoutError::TimeoutError;
};

/// The executor cannot run anything any more.
struct BrokenExecutor : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The initializer of a pool's thread failed.
struct BrokenThreadPool : BrokenExecutor {
    using BrokenExecutor::BrokenExecutor;
};

/// A worker process ended without being asked to, or could not be started.
struct BrokenProcessPool : BrokenExecutor {
    using BrokenExecutor::BrokenExecutor;
};

/// What is known about a worker process that died. Fields that could not be found out
/// keep their initial value.
struct CrashReport {
    std::string task;                   ///< the function that ran
    std::string worker;                 ///< its process name
    pid_t pid = 0;                      ///< its process id
    std::optional<int> signal;          ///< the signal that ended it
    std::optional<int> exit_code;       ///< or its exit status
    std::uintptr_t fault_address = 0;   ///< of SIGSEGV, SIGBUS, SIGILL, SIGFPE
    std::string stack;                  ///< native stack, one frame a line
    std::size_t peak_memory_bytes = 0;  ///< largest resident size
    std::string last_output;            ///< last lines of its stderr
};

/// A task's worker process died while the task ran.
struct WorkerLost : BrokenProcessPool {
    /// For pools: what to say, and what is known.
    WorkerLost(const std::string& what, CrashReport report)
        : BrokenProcessPool(what),
          report_(std::make_shared<const CrashReport>(std::move(report))) {}

    /// The same, of a task that was begun so often.
    WorkerLost(
        const std::string& what,
        CrashReport report,
        std::uint32_t attempts,
        bool is_poison
    )
        : WorkerLost(what, std::move(report)) {
        attempts_ = attempts;
        poison_ = is_poison;
    }

    /// What is known about the crash.
    const CrashReport& report() const noexcept { return *report_; }

    /// How often the task was begun, this time included.
    std::uint32_t attempts() const noexcept { return attempts_; }

    /// It was run more than once, and each time its worker died: it is the task that
    /// kills workers, rather than somebody else.
    bool is_poison() const noexcept { return poison_; }

private:
    // Shared, so that copying the exception cannot throw.
    std::shared_ptr<const CrashReport> report_;
    std::uint32_t attempts_ = 1;
    bool poison_ = false;
};

/// A wait that could never end: every worker waits for work that no worker is left for.
struct DeadlockError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace futures

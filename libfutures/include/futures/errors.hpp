// SPDX-License-Identifier: BSL-1.0
// The exceptions of libfutures, under Python's names.
// Python:  concurrent.futures (CancelledError, InvalidStateError, TimeoutError,
//          BrokenExecutor), .thread.BrokenThreadPool, .process.BrokenProcessPool.
// Differs: TimeoutError is this library's own type, not mp::TimeoutError; WorkerLost
//          carries what is known about the crash; TaskTimeout, DependencyError and
//          DeadlockError are new. ResourceLimitExceeded is mp's.
// Threads: any; they are values.
#pragma once

#include "mp/errors.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace futures {

/// A limit stood in the way of a task, which its text names; see Limits.
using mp::ResourceLimitExceeded;

/// What a future's own state forbids.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The future was cancelled, so it has no result.
struct CancelledError : Error {
    CancelledError() : Error("the future was cancelled") {}

    using Error::Error;
};

/// The task was not run, because a future that it depends on failed, or can never be
/// done: nobody is left who could complete it. What that one threw is nested in it:
/// std::rethrow_if_nested(). In a chain of such tasks it is the first failure.
struct DependencyError : Error {
    using Error::Error;

    /// For executors: the text, and how many tasks back the failure is.
    DependencyError(const std::string& what, std::size_t steps)
        : Error(what), steps_(steps) {}

    /// 1: a dependency failed itself; 2: it was not run either, because one of its own
    /// did, and so on. 1, too, for one that came from another process.
    std::size_t steps() const noexcept { return steps_; }

private:
    std::size_t steps_ = 1;
};

/// The future is in a state that does not allow the call (set_result() twice).
struct InvalidStateError : Error {
    using Error::Error;
};

/// A wait for futures ended before they did. The futures go on.
struct TimeoutError : std::runtime_error {
    using std::runtime_error::runtime_error;
    TimeoutError() : std::runtime_error("timed out") {}
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
/// keep their initial value. What the worker itself left (message, stack, output) is
/// text that a broken program wrote: a hint, bounded and without control characters.
struct CrashReport {
    std::string task;  ///< what ran: the name that it was given, or its function
    std::uint32_t attempt = 0;  ///< which run of the task this was; the first is 1
    std::optional<std::chrono::nanoseconds>
        ran_for;                   ///< how long, to some milliseconds
    std::string worker;            ///< its process name
    pid_t pid = 0;                 ///< its process id
    std::optional<int> signal;     ///< the signal that ended it
    std::optional<int> si_code;    ///< why the signal came, as sigaction(2) lists it
    std::optional<int> exit_code;  ///< or its exit status
    bool core_dumped = false;      ///< the kernel wrote a core file
    bool out_of_memory = false;    ///< the kernel's OOM killer ended it
    std::uintptr_t fault_address = 0;  ///< of SIGSEGV, SIGBUS, SIGILL, SIGFPE
    bool stack_overflow = false;       ///< the SIGSEGV came from a stack that was full
    /// Of std::terminate() the exception, of assert() and of what else the C library
    /// ends a program for its message.
    std::string message;
    std::string stack;                     ///< native stack, one frame a line
    std::size_t peak_memory_bytes = 0;     ///< largest resident size
    std::chrono::microseconds cpu_time{};  ///< user and system, since its start
    /// With ProcessPoolOptions::capture_output the last 4 KiB of its stdout,
    std::string last_stdout;
    std::string last_stderr;  ///< of its stderr,
    std::string last_output;  ///< and of both as they came

    /// How it ended, in one line: "was killed by signal 11 (SIGSEGV) at address 0x0".
    std::string cause() const;

    /// All of it, as a block of lines to be read by people.
    std::string to_string() const;
};

namespace detail {

/// A stack that takes long to put into words.
class UnreadStack {
public:
    UnreadStack() = default;
    UnreadStack(const UnreadStack&) = delete;
    UnreadStack& operator=(const UnreadStack&) = delete;
    virtual ~UnreadStack() = default;

    virtual std::string in_words() const = 0;
};

class LostReport;

}  // namespace detail

/// A task's worker process died while the task ran.
struct WorkerLost : BrokenProcessPool {
    /// For pools: what to say, and what is known. The report's stack is that which is
    /// given beside it.
    WorkerLost(
        const std::string& what,
        CrashReport report,
        std::unique_ptr<const detail::UnreadStack> stack = nullptr
    );

    /// The same, of a task that was begun so often.
    WorkerLost(
        const std::string& what,
        CrashReport report,
        std::uint32_t attempts,
        bool is_poison,
        std::unique_ptr<const detail::UnreadStack> stack = nullptr
    )
        : WorkerLost(what, std::move(report), std::move(stack)) {
        attempts_ = attempts;
        poison_ = is_poison;
    }

    /// What is known about the crash. The first call, of this exception or of a copy,
    /// looks up the functions and lines of the stack, which takes long in a large
    /// program: up to seconds with all its debug information.
    const CrashReport& report() const noexcept;

    /// How often the task was begun, this time included.
    std::uint32_t attempts() const noexcept { return attempts_; }

    /// It was run more than once, and each time its worker died: it is the task that
    /// kills workers, rather than somebody else.
    bool is_poison() const noexcept { return poison_; }

private:
    // Shared, so that copying the exception cannot throw.
    std::shared_ptr<const detail::LostReport> report_;
    std::uint32_t attempts_ = 1;
    bool poison_ = false;
};

/// A wait that could never end: tasks wait for each other in a cycle, which it would
/// close. The text names them.
struct DeadlockError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace futures

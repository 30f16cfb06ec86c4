// SPDX-License-Identifier: BSL-1.0
// ProcessHandle: a copyable view of a started child.
// Python:  none, because there all names of a Process share one object.
// Differs: outlives the Process object, and can only watch and signal the child.
// Threads: any.
#pragma once

#include "mp/timeout.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mp {

namespace detail {

class Popen;
struct ProcessState;

}  // namespace detail

/// Its functions are those of BaseProcess, without their StateErrors: the child was
/// started by this process. BaseProcess::handle() and active_children() make one.
class ProcessHandle {
public:
    /// As BaseProcess::name().
    std::string name() const;
    /// As BaseProcess::pid().
    pid_t pid() const;
    /// The same, by Python's other name.
    pid_t ident() const { return pid(); }
    /// As BaseProcess::daemon().
    bool daemon() const;
    /// As BaseProcess::sentinel().
    int sentinel() const;
    /// As BaseProcess::is_alive().
    bool is_alive() const;
    /// As BaseProcess::exitcode().
    std::optional<int> exitcode() const;
    /// The largest resident size that it had, or a child that it had waited for, as
    /// wait4() tells it; 0 while it runs, and when somebody else reaped it. Under fork
    /// and spawn it is at least what this process had resident when it started the
    /// child.
    std::size_t peak_memory_bytes() const;
    /// The CPU time, of user and system, that it and the children that it had waited
    /// for took, as wait4() tells it; 0 while it runs, and when somebody else reaped
    /// it.
    std::chrono::microseconds cpu_time() const;
    /// Whether it left a core dump; false while it runs, and when it is not known.
    bool dumped_core() const;
    /// Waits for the end of the child; returns whether it has ended.
    bool join(Timeout timeout = forever) const;
    /// SIGTERM, as BaseProcess::terminate().
    void terminate() const;
    /// SIGKILL, as BaseProcess::kill().
    void kill() const;
    /// SIGINT, as BaseProcess::interrupt().
    void interrupt() const;

private:
    friend class BaseProcess;
    friend std::vector<ProcessHandle> active_children();
    ProcessHandle(
        std::shared_ptr<detail::ProcessState> state,
        std::shared_ptr<detail::Popen> popen
    ) noexcept;

    std::shared_ptr<detail::ProcessState> state_;
    std::shared_ptr<detail::Popen> popen_;
};

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// ParentProcess: the process that started this one, seen from the child.
// Python:  multiprocessing.parent_process, process._ParentProcess.
// Differs: no subclass of Process: what nobody can do to a parent is not there.
// Threads: any; it is a value.
#pragma once

#include "mp/timeout.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

namespace mp {

class ParentProcess {
public:
    /// For parent_process(), which makes it.
    ParentProcess(pid_t pid, std::string name) : pid_(pid), name_(std::move(name)) {}

    /// Its process id.
    pid_t pid() const noexcept { return pid_; }
    /// The same, by Python's other name.
    pid_t ident() const noexcept { return pid_; }
    /// The name that it had when this process was started.
    const std::string& name() const noexcept { return name_; }
    /// Whether it has not ended. Never blocks.
    bool is_alive() const;
    /// Waits for its end; returns whether it has ended.
    bool join(Timeout timeout = forever) const;
    /// Readable from the moment it is gone.
    int sentinel() const noexcept;

private:
    pid_t pid_;
    std::string name_;
};

/// Nothing in the program's first process.
std::optional<ParentProcess> parent_process();

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// current_task: which task this is.
// Python:  anyio.get_current_task, anyio.TaskInfo.
// Differs: a copy of what is known at the moment; ids are unique in the program.
// Threads: any; it is a value. current_task() asks the loop of its thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace concurrency {

namespace detail {
class LoopTask;
}

/// What identifies a task.
class TaskInfo {
public:
    /// A number that no other task of this program has.
    std::uint64_t id() const noexcept { return id_; }

    /// The task whose group it was started in; none for the main task.
    std::optional<std::uint64_t> parent_id() const noexcept { return parent_id_; }

    /// What it was called when it was started, or a name for what it runs.
    const std::string& name() const noexcept { return name_; }

    /// Where it is: "running", "ready" when its turn is to come, or the call in which
    /// it waits, such as "sleep" or "Lock.acquire".
    const char* where() const noexcept { return where_; }

    /// The same task.
    friend bool operator==(const TaskInfo& a, const TaskInfo& b) noexcept {
        return a.id_ == b.id_;
    }

    // -- For the library.

    explicit TaskInfo(const detail::LoopTask& task);

private:
    std::uint64_t id_;
    std::optional<std::uint64_t> parent_id_;
    std::string name_;
    const char* where_;
};

/// The task that runs here. Throws RuntimeError outside a loop.
TaskInfo current_task();

}  // namespace concurrency

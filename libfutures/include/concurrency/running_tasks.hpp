// SPDX-License-Identifier: BSL-1.0
// get_running_tasks: which tasks a loop has, and where each of them waits.
// Python:  anyio.get_running_tasks.
// Differs: the tasks come in the order of their tree, and can be printed. Also called
//          by what an executor runs between the turns of the tasks.
// Threads: its loop's.
// Read next: concurrency/current_task.hpp
#pragma once

#include "concurrency/current_task.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace concurrency {

namespace detail {
class Loop;
}

/// A task, and how far below the main task it is.
class RunningTask : public TaskInfo {
public:
    /// 0 of the main task, 1 of the tasks that it started, and so on.
    std::size_t depth() const noexcept { return depth_; }

    // -- For the library.

    /// A task at this depth.
    RunningTask(TaskInfo info, std::size_t depth)
        : TaskInfo(std::move(info)), depth_(depth) {}

private:
    std::size_t depth_;
};

/// All tasks of this loop that have not ended, as they are at the moment: each one is
/// followed by those that it started, oldest first. Throws RuntimeError outside a loop.
std::vector<RunningTask> get_running_tasks();

/// A task in a line: "fetch #7: sleep".
std::string to_string(const TaskInfo& task);

/// The tree, a line for each task, indented by its depth:
///
///     main #1: TaskGroup
///       fetch #2: sleep
///       store #3: Queue.get
std::string to_string(const std::vector<RunningTask>& tasks);

namespace detail {

/// Those of a loop, for who has it at hand.
std::vector<RunningTask> running_tasks(Loop& loop);

}  // namespace detail

}  // namespace concurrency

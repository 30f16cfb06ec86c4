// SPDX-License-Identifier: BSL-1.0
// this_task(): what a task knows of itself, and whether it is to stop.
// Python:  none; a task of Dask has get_worker(), one of Ray get_runtime_context().
// Differs: nothing to differ from.
// Threads: see each member. A task may hand the object to threads that end before it.
// Read next: docs/concepts/timeouts_and_cancelling.md
#pragma once

#include "mp/timeout.hpp"

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>

namespace futures {

namespace detail {

class PoolLink;

/// What a pool tells a task that it runs.
class TaskContext {
public:
    TaskContext() = default;
    TaskContext(const TaskContext&) = delete;
    TaskContext& operator=(const TaskContext&) = delete;

    virtual bool stop_requested() const noexcept = 0;
    virtual std::stop_token stop_token() = 0;
    virtual std::string name() const = 0;
    virtual std::uint32_t attempt() const noexcept = 0;
    virtual mp::Deadline deadline() const noexcept = 0;
    virtual std::size_t worker_index() const noexcept = 0;

    /// For this_pool(); null where there is none.
    virtual PoolLink* pool_link() { return nullptr; }

protected:
    ~TaskContext() = default;
};

/// Where a thread of a pool keeps which task it runs; null: none.
struct TaskSlot {
    TaskContext* task = nullptr;
};

/// What runs in this thread; null: no task.
TaskContext* task_of_this_thread() noexcept;

/// While it lives, this thread, one of a pool's, keeps its task there.
class TaskSlotScope {
public:
    explicit TaskSlotScope(const TaskSlot& slot) noexcept;
    ~TaskSlotScope();
    TaskSlotScope(const TaskSlotScope&) = delete;
    TaskSlotScope& operator=(const TaskSlotScope&) = delete;
};

}  // namespace detail

/// The task that asks: see this_task(). Valid until the task's call has returned.
class ThisTask {
public:
    explicit ThisTask(detail::TaskContext& task) noexcept : task_(&task) {}

    /// Whether the task is to stop: its time is up, or cancel(running) was called. Any
    /// thread; a load. Never in a process that a task of a process pool has forked.
    bool stop_requested() const noexcept { return task_->stop_requested(); }

    /// The same as the standard library says it, for condition_variable_any, jthread
    /// and stop_callback. In a worker process a thread of the pool's looks after it
    /// from the first call on, and runs the callbacks. Any thread. Throws
    /// std::system_error when no thread can be had, and mp::StateError in a process
    /// that a task of a process pool has forked.
    std::stop_token stop_token() const { return task_->stop_token(); }

    /// Throws CancelledError if the task is to stop. A task that ends by that ends as
    /// it was asked to: its future raises TaskTimeout when its time was up, and is
    /// cancelled after cancel(running). Any thread.
    void check_cancelled() const;

    /// 1 at the first attempt, 2 when the task is run again: see
    /// SubmitOptions::retries.
    std::uint32_t attempt() const noexcept { return task_->attempt(); }

    /// What was said in the options, or else the name of the function.
    std::string name() const { return task_->name(); }

    /// When its time is up; for ever without a limit.
    mp::Deadline deadline() const noexcept { return task_->deadline(); }

    /// Which worker of the pool runs it: from 0 on, less than max_workers, the same for
    /// no two tasks at a time. In a thread pool two have the same if one waits for the
    /// other, which its thread runs; threads that are added for waits count on.
    std::size_t worker_index() const noexcept { return task_->worker_index(); }

private:
    detail::TaskContext* task_;
};

/// In a task of a process pool or a thread pool, in the thread that the pool called it
/// in: that task. Throws mp::StateError anywhere else: in other threads, initializers,
/// callbacks, and processes that a task has forked.
ThisTask this_task();

}  // namespace futures

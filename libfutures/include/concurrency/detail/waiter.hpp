// SPDX-License-Identifier: BSL-1.0
// Waiter: a task in the queue of what it waits for, first come, first served.
// Python:  none; the futures in the deque of an asyncio primitive are nearest.
// Differs: nothing to differ from.
// Threads: its loop's.
// Read next: concurrency/primitives.hpp
#pragma once

#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/loop_task.hpp"

namespace concurrency::detail {

/// Who serves a waiter takes it out of its list, hands over what it waited for, and
/// wakes its task: cancelled after that, it keeps what it got. Cancelled before, it has
/// left the list.
class Waiter : public Park, public Link {
public:
    Waiter(LoopTask& task, const char* what) noexcept : Park(task, what) {}

    bool abort() noexcept override {
        unlink();
        return true;
    }

protected:
    ~Waiter() = default;
};

/// One that is only woken.
class PlainWaiter final : public Waiter {
public:
    using Waiter::Waiter;
};

/// At the end of a call that did not have to wait: goes on at once, or lets the others
/// run when the task has gone on often enough. No cancel point: what was taken is kept.
class Passed {
public:
    explicit Passed(LoopTask& task) noexcept : task_(&task) {}

    bool await_ready() const noexcept { return task_->may_go_on(); }

    void await_suspend(std::coroutine_handle<> frame) const {
        task_->park(frame, nullptr);
        task_->wake();
    }

    void await_resume() const noexcept {}

private:
    LoopTask* task_;
};

}  // namespace concurrency::detail

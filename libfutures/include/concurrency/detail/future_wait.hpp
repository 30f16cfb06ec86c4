// SPDX-License-Identifier: BSL-1.0
// FutureWait: a task that waits for a future.
// Python:  asyncio.wrap_future.
// Differs: one node in the task's coroutine, in the future's list and in the mailbox;
//          awaiting allocates nothing, and leaves nothing in a future that goes on.
// Threads: its loop's; told() in any.
// Read next: src/concurrency/bridges/future_wait.cpp
#pragma once

#include "futures/detail/state.hpp"
#include "futures/detail/watcher.hpp"

#include "concurrency/detail/letter.hpp"
#include "concurrency/detail/loop_task.hpp"

#include <atomic>

namespace concurrency {

/// What becomes of a call that runs when the task which awaits it is cancelled. One
/// that has not begun is cancelled in any case.
enum class OnCancel {
    /// It is waited for. The task gets its result, and Cancelled at its next
    /// checkpoint.
    wait,
    /// It goes on, and its result is dropped. The task leaves at once, with Cancelled.
    abandon,
    /// It is stopped by future.cancel(futures::running), which is waited for; then the
    /// task leaves with Cancelled. In a process pool the call's worker ends, in a
    /// thread pool the call is asked to stop: if it returns a value all the same, that
    /// is the task's.
    kill,
};

namespace detail {

/// For `co_await`, when begin() has said so.
class FutureWait final : public Park, private futures::detail::Watcher, private Letter {
public:
    /// The future outlives it. `what` is the call that waits, for people. Throws
    /// nothing yet, cancelled or not.
    FutureWait(
        LoopTask& task,
        futures::detail::StateBase& state,
        OnCancel on_cancel,
        const char* what
    ) noexcept;

    /// It never leaves the future's call running in a thread: what that refers to is
    /// about to be destroyed. For a call that this task has made.
    void own_call() noexcept { owns_call_ = true; }

    /// To be set when the task is cancelled; it outlives this.
    void tell(std::atomic<bool>& cancelled) noexcept { cancelled_ = &cancelled; }

    ~FutureWait();

    /// False when the future is done already. Throws Cancelled in a scope that is
    /// cancelled; then the call is cancelled, too, unless it runs.
    bool begin();

    bool abort() noexcept override;

    /// Afterwards: throws Cancelled when the call has been ended for that.
    void check() const;

private:
    void told(futures::detail::StateBase& state) noexcept override;
    void arrive(Loop& loop) noexcept override;

    void come_back() noexcept override {}

    bool is_about_to_end() noexcept;
    void leave() noexcept;
    bool stop_call() noexcept;

    futures::detail::StateBase& state_;
    Mailbox& mailbox_;
    std::atomic<bool>* cancelled_ = nullptr;
    OnCancel on_cancel_;
    bool owns_call_ = false;
    bool is_watching_ = false;
    bool has_stopped_ = false;  // the call, which may still have to end
};

}  // namespace detail

}  // namespace concurrency

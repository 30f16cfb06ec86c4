// SPDX-License-Identifier: BSL-1.0
// ThreadCall: a call that a task makes in another thread.
// Python:  what anyio keeps in a worker thread's local values.
// Differs: nothing to differ from.
// Threads: its loop's, unless it says otherwise.
// Read next: src/concurrency/bridges/thread_call.cpp
#pragma once

#include "futures/detail/state_ptr.hpp"
#include "futures/detail/watcher.hpp"
#include "futures/thread_pool.hpp"

#include "concurrency/capacity_limiter.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/future_wait.hpp"
#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/letter.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/event_loop_token.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

class CallLink : public Link {};

/// Shared by the task, the thread, and what the thread starts in the loop.
class ThreadCall final : public std::enable_shared_from_this<ThreadCall>,
                         public CallLink,
                         private futures::detail::Watcher,
                         private Letter {
public:
    /// Without a limiter it is that of the loop's threads.
    ThreadCall(LoopTask& caller, OnCancel on_cancel, CapacityLimiter* limiter);
    ThreadCall(const ThreadCall&) = delete;
    ThreadCall& operator=(const ThreadCall&) = delete;

    /// Waits for one of the limiter's tokens, and has it then. Throws Cancelled; then
    /// it has none.
    Task<> take_token();

    /// Where the call is to be submitted: threads of this loop.
    futures::ThreadPoolExecutor& pool() const noexcept { return *pool_; }

    /// The call was submitted: the token goes back when its thread is free, whether the
    /// task is still there or not.
    void watch(futures::detail::StateBase& state);

    /// While the task is there.
    class Caller {
    public:
        explicit Caller(ThreadCall& call) noexcept : call_(call) {}

        Caller(const Caller&) = delete;
        Caller& operator=(const Caller&) = delete;

        ~Caller() { call_.caller_leaves(); }

    private:
        ThreadCall& call_;
    };

    struct Place {
        ScopeNode* scope = nullptr;
        std::uint64_t parent = 0;
    };

    /// Where what the thread starts in the loop belongs: below the task, unless that
    /// may leave before the thread has ended.
    Place place() const noexcept;

    /// The loop does not see to it any more.
    void leave() noexcept;

    // -- From any thread.

    std::atomic<bool>& cancelled() noexcept { return cancelled_; }

    const EventLoopToken& token() const noexcept { return token_; }

    /// The call that this thread makes, or null.
    static ThreadCall* here() noexcept;

    /// While this thread makes it.
    class Here {
    public:
        explicit Here(ThreadCall& call) noexcept;
        Here(const Here&) = delete;
        Here& operator=(const Here&) = delete;
        ~Here();

    private:
        static void enter(ThreadCall* call) noexcept;

        ThreadCall* before_;
    };

private:
    void told(futures::detail::StateBase& state) noexcept override;
    void arrive(Loop& loop) noexcept override;

    void come_back() noexcept override {}

    void caller_leaves() noexcept;
    void give_token_back() noexcept;

    std::atomic<bool> cancelled_{false};
    const EventLoopToken token_;
    const std::shared_ptr<futures::ThreadPoolExecutor> pool_;
    const std::uint64_t caller_id_;
    const OnCancel on_cancel_;
    LoopTask* caller_;
    CapacityLimiter& limiter_;
    CapacityLimiter::Guard borrowed_;
    // From watch() on, until the future is done.
    futures::detail::StateBase* state_ = nullptr;
    futures::detail::StatePtr<futures::detail::StateBase> kept_state_;
    std::shared_ptr<ThreadCall> self_;
};

/// What the thread calls.
template <class Fn, class... Args>
class CallInThread {
public:
    template <class F, class... As>
    explicit CallInThread(std::shared_ptr<ThreadCall> call, F&& fn, As&&... args)
        : call_(std::move(call)),
          fn_(std::forward<F>(fn)),
          args_(std::forward<As>(args)...) {}

    auto operator()() && -> std::decay_t<std::invoke_result_t<Fn, Args...>> {
        const ThreadCall::Here here(*call_);
        return std::apply(std::move(fn_), std::move(args_));
    }

private:
    std::shared_ptr<ThreadCall> call_;
    Fn fn_;
    std::tuple<Args...> args_;
};

}  // namespace concurrency::detail

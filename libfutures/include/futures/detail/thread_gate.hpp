// SPDX-License-Identifier: BSL-1.0
// ThreadGate, WaitingCall: a task of a thread pool that waits for futures, and its
// call.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "futures/detail/future_arguments.hpp"
#include "futures/detail/thread_task.hpp"
#include "futures/detail/waiting_task.hpp"

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>

namespace futures::detail {

class ThreadPool;

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class ThreadGate final : public WaitingTask {
public:
    ThreadGate(std::shared_ptr<ThreadPool> pool, std::size_t count)
        : WaitingTask(count), pool_(std::move(pool)) {}

    /// Before it waits. Takes over the queue's reference.
    void lead_to(Work& work) noexcept { work_ = &work; }

    /// The pool did not take it: it never waited. No watch() follows.
    void abandon() noexcept {
        in_room_ = false;
        WaitingTask::abandon();
    }

    /// Its call is about to be destroyed. It leaves the pool's room before code of the
    /// program runs, which may wait for the pool's end.
    void leave_with_call() noexcept;

private:
    void leave_room() noexcept;

    void go_on() override;
    void fail_future(std::exception_ptr exception) override;
    void cancel_future() override;
    void left() noexcept override;

    std::shared_ptr<ThreadPool> pool_;
    Work* work_ = nullptr;
    std::atomic<bool> in_room_{true};
    std::atomic<bool> begun_{false};  // it goes to the queue
};

/// A callable with its arguments, of which some are still to come. When it is destroyed
/// without being called, its task waits no more.
template <class Fn, class... Items>
class WaitingCall {
public:
    template <class F, class... A>
    explicit WaitingCall(DependenciesPtr<ThreadGate> gate, F&& fn, A&&... items)
        : gate_(std::move(gate)),
          fn_(std::forward<F>(fn)),
          items_(std::forward<A>(items)...) {}

    WaitingCall(const WaitingCall&) = delete;
    WaitingCall& operator=(const WaitingCall&) = delete;

    ~WaitingCall() { gate_->leave_with_call(); }

    ThreadGate& gate() const noexcept { return *gate_; }

    const Fn& function() const noexcept { return fn_; }

    /// For a call that may be made again: all are lvalues.
    decltype(auto) operator()() & {
        return std::apply(
            [this](Items&... items) -> decltype(auto) {
                return std::invoke(fn_, lent(items, *gate_)...);
            },
            items_
        );
    }

    decltype(auto) operator()() && {
        return std::apply(
            [this](Items&... items) -> decltype(auto) {
                return std::invoke(std::move(fn_), given(items, *gate_)...);
            },
            items_
        );
    }

private:
    DependenciesPtr<ThreadGate> gate_;
    Fn fn_;
    std::tuple<Items...> items_;
};

}  // namespace futures::detail

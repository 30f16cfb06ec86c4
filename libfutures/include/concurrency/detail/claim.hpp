// SPDX-License-Identifier: BSL-1.0
// Claim: what a task asks of a primitive, from the moment it asks until the call
// returns.
// Python:  none; a waiter of an asyncio primitive is nearest.
// Differs: nothing to differ from.
// Threads: its loop's.
// Read next: concurrency/lock.hpp
#pragma once

#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/detail/waiter.hpp"

#include <coroutine>

namespace concurrency::detail {

/// Throws RuntimeError when another loop than the task's has its turn in this thread,
/// in a thread outside the task's loop, and in the child of a fork. Handlers of the
/// task's executor, which run between the turns, are welcome.
void check_loop(const LoopTask& task);

[[noreturn]] void throw_gone();

/// A named variable of the coroutine that asks. Awaited, it waits until it is served;
/// one that was served at once does not wait, but lets others run when the task has
/// gone on often enough. What was served is kept by keep(): a class that derives from
/// this gives it back in its destructor otherwise, when the coroutine was destroyed
/// before.
class Claim : public Waiter {
public:
    using Waiter::Waiter;

    bool is_served() const noexcept { return is_served_; }

    /// It has what it asked for, and did not wait.
    void serve() noexcept { is_served_ = true; }

    /// It has what it waited for, and is in no queue any more.
    void serve_and_wake() noexcept {
        is_served_ = true;
        task().wake();
    }

    /// What it waited for is destroyed.
    void refuse() noexcept {
        is_refused_ = true;
        task().wake();
    }

    bool is_refused() const noexcept { return is_refused_; }

    void keep() noexcept { is_served_ = false; }

    // -- What co_await does.

    bool await_ready() const noexcept { return is_served_ && task().may_go_on(); }

    void await_suspend(std::coroutine_handle<> frame) {
        if (is_served_) {
            task().park(frame, nullptr);
            task().wake();
        } else {
            task().park(frame, this);
        }
    }

    /// Throws Cancelled, or RuntimeError if it was refused.
    void await_resume() const {
        task().resumed();
        if (is_refused_) {
            throw_gone();
        }
    }

protected:
    ~Claim() = default;

private:
    bool is_served_ = false;
    bool is_refused_ = false;
};

/// Those that wait, the first one first. When it is destroyed with what they wait for,
/// they are refused.
class ClaimQueue : public List<Claim> {
public:
    ClaimQueue() noexcept = default;
    ClaimQueue(const ClaimQueue&) = delete;
    ClaimQueue& operator=(const ClaimQueue&) = delete;

    ~ClaimQueue() {
        while (!empty()) {
            pop_front().refuse();
        }
    }

    /// Throws RuntimeError when those who wait do so in another loop, which does not
    /// run here.
    void check() {
        if (!empty()) {
            check_loop(front().task());
        }
    }

    /// The same for a destructor: ends the program. False in the child of a fork, where
    /// nobody waits, and nobody is to be served.
    bool check_for_guard() noexcept;
};

}  // namespace concurrency::detail

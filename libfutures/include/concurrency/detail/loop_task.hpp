// SPDX-License-Identifier: BSL-1.0
// LoopTask: a task as its loop sees it, and Wait: what such a task waits in.
// Python:  asyncio.Task, trio's Task and its abort function.
// Differs: a coroutine is not a task: a task is the stack of coroutines that await one
//          another, and the loop resumes the innermost (docs/protocols/cancellation.md).
// Threads: their loop's, unless it says otherwise.
// Read next: concurrency/coroutine.hpp, src/concurrency/loop/loop.hpp
#pragma once

#include "concurrency/clock.hpp"
#include "concurrency/detail/intrusive_list.hpp"

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace concurrency::detail {

class Loop;
class LoopTask;
struct LocalValue;

/// A task's places: among those that are ready to run, in its innermost scope, and
/// among all tasks of its loop.
class ReadyLink : public Link {};

class ScopeLink : public Link {};

/// A task's place among all of its loop.
class LoopLink : public Link {};

/// A scope's place in the one around it.
class ScopeChild : public Link {};

/// A cancel scope as far as its tasks know it, and the tree of them. The root of a loop
/// is one, the others are CancelScopes.
class ScopeNode : public ScopeChild {
public:
    ScopeNode() noexcept = default;
    ScopeNode(const ScopeNode&) = delete;
    ScopeNode& operator=(const ScopeNode&) = delete;

    /// Whether this scope is cancelled, or one around it that it can see.
    bool cancelled() const noexcept { return cancelled_; }

    /// Cancels the scope itself; the first reason stands.
    void call(std::string reason) noexcept;

    /// The earliest deadline that can end what is in it, inf for none; minus inf where
    /// it is cancelled.
    double effective_deadline() const noexcept;

protected:
    ~ScopeNode() = default;

    /// Into the tree, below the scope that the task is in.
    void enter_tree(LoopTask& task) noexcept;

    /// Out of the tree. What is still in the scope, when its coroutine was destroyed
    /// where it waited, is in the one around from now on.
    void leave_tree() noexcept;

    /// Whether a scope around is cancelled that this one sees.
    bool is_cancelled_around() const noexcept {
        return parent_ != nullptr && !shield_ && parent_->cancelled_;
    }

    /// After a change of called_ or shield_: this scope learns of it, and what is in
    /// it.
    void update() noexcept;

    double deadline_ = inf;  // in seconds on the loop's clock
    bool called_ = false;    // cancelled itself
    bool shield_ = false;
    std::string reason_;  // that of call(), or before it that of a limit

private:
    friend class LoopTask;

    bool see() noexcept;

    bool cancelled_ = false;  // kept up to date, so that a checkpoint is one load
    ScopeNode* parent_ = nullptr;
    List<ScopeLink> tasks_;  // those whose innermost scope this is
    List<ScopeChild> children_;
};

/// Where a task waits and can be made to stop. A scope that is cancelled calls abort()
/// of the tasks in it that wait. When what was waited for happens first, the task is
/// woken for that, and abort() is not called any more: served first, cancelled later
/// keeps what it got.
class Wait {
public:
    /// True: the wait is over, nothing will wake the task for it any more; it is woken
    /// with Cancelled. False: it cannot stop now, and what it waits for wakes the task.
    virtual bool abort() noexcept = 0;

    /// The call that waits, for people: "Lock.acquire". A literal.
    virtual const char* what() const noexcept { return "waiting"; }

protected:
    ~Wait() = default;
};

/// What a task owns by being that task, and what has to know when the task ends.
class Held : public Link {
public:
    /// The task ends, and is still there; this is its no more.
    virtual void owner_ended() noexcept = 0;

protected:
    ~Held() = default;
};

class LoopTask : public ReadyLink, public ScopeLink, public LoopLink {
public:
    LoopTask(const LoopTask&) = delete;
    LoopTask& operator=(const LoopTask&) = delete;

    /// Ready from now on, as a task of this loop and scope, with the locals of the task
    /// that runs here. Throws std::bad_alloc.
    void start(Loop& loop, ScopeNode* scope, std::uint64_t parent);

    Loop& loop() const noexcept { return *loop_; }

    std::uint64_t id() const noexcept { return id_; }

    /// 0 for the main task.
    std::uint64_t parent_id() const noexcept { return parent_id_; }

    void set_parent_id(std::uint64_t id) noexcept { parent_id_ = id; }

    /// What it was called by, or else a name for what it calls.
    std::string name() const { return named_ ? name_ : default_name(); }

    /// An empty name is one as well.
    void set_name(std::string name) noexcept {
        name_ = std::move(name);
        named_ = true;
    }

    /// The call in which it waits, or "running", or "ready" when its turn is to come.
    const char* where() const noexcept;

    /// The values of its TaskLocals; shared with other tasks, and never changed.
    const std::shared_ptr<const LocalValue>& locals() const noexcept { return locals_; }

    void set_locals(std::shared_ptr<const LocalValue> locals) noexcept {
        locals_ = std::move(locals);
    }

    ScopeNode* scope() const noexcept { return scope_; }

    /// Its innermost scope is this one from now on.
    void move_to(ScopeNode* scope) noexcept;

    // -- For coroutines, which run in it.

    /// The frame that runs next, when the one that runs now suspends.
    void set_next(std::coroutine_handle<> frame) noexcept { next_ = frame; }

    /// Its outermost coroutine has ended.
    void finish() noexcept { finished_ = true; }

    /// The frame suspends until wake(). Without a Wait no cancellation ends that.
    /// Throws RuntimeError in the child of a fork, which has no loop.
    void park(std::coroutine_handle<> frame, Wait* wait);

    /// After park(): throws Cancelled if abort() ended the wait.
    void resumed() {
        if (woken_cancelled_) {
            woken_cancelled_ = false;
            throw_cancelled();
        }
    }

    /// Whether a checkpoint would throw.
    bool cancel_pending() const noexcept {
        return scope_ != nullptr && scope_->cancelled();
    }

    void check_cancelled() const {
        if (cancel_pending()) {
            throw_cancelled();
        }
    }

    /// True so many times since the task was resumed, then false once: a task that
    /// never has to wait goes on without the others only so long.
    bool may_go_on() noexcept { return --budget_ > 0; }

    /// It waited for some microseconds without letting others run, which counts as
    /// several steps.
    void has_looked() noexcept { budget_ -= 15; }

    // -- For what it waits for.

    /// The wait has ended; the task runs in its turn. Requires: it is parked, and was
    /// not woken since.
    void wake() noexcept;

    /// A scope around it was cancelled: ends its wait, if it waits and can stop.
    void abort_wait() noexcept;

    /// This is its, until it is unlinked or the task ends. Requires: it is nobody's.
    void hold(Held& held) noexcept { held_.push_back(held); }

protected:
    LoopTask() noexcept = default;
    virtual ~LoopTask();

    /// For the main task: the loop has come to its end.
    void stop_loop() noexcept;

private:
    friend class Loop;

    /// Calls what the task is to run; the frame goes to set_next(). What is thrown ends
    /// the task.
    virtual void begin() = 0;
    /// It threw before there was a coroutine.
    virtual void failed(std::exception_ptr error) noexcept = 0;
    /// It has finished. May destroy the task.
    virtual void end() noexcept = 0;
    virtual std::string default_name() const = 0;

    [[noreturn]] void throw_cancelled() const;

    // Set once by start().
    Loop* loop_ = nullptr;
    std::uint64_t id_ = 0;

    std::uint64_t parent_id_ = 0;
    std::string name_;
    std::shared_ptr<const LocalValue> locals_;
    ScopeNode* scope_ = nullptr;
    std::coroutine_handle<> next_;
    Wait* wait_ = nullptr;  // while it is parked and may be stopped
    List<Held> held_;
    int budget_ = 0;
    bool named_ = false;
    bool begun_ = false;
    bool parked_ = false;
    bool woken_cancelled_ = false;
    bool finished_ = false;
};

/// The task that runs in this thread, or null.
LoopTask* running_task() noexcept;

/// The same; throws RuntimeError where there is none.
LoopTask& this_task();

/// Throws the RuntimeError of a Task that cannot be awaited.
[[noreturn]] void throw_awaited_before();

/// Base of what a task awaits to be suspended. A named variable of the coroutine, never
/// a temporary of the co_await expression, which g++ 12 may copy.
class Park : public Wait {
public:
    explicit Park(LoopTask& task, const char* what = "waiting") noexcept
        : task_(&task), what_(what) {}

    Park(const Park&) = delete;
    Park& operator=(const Park&) = delete;

    LoopTask& task() const noexcept { return *task_; }

    bool await_ready() const noexcept { return false; }

    void await_suspend(std::coroutine_handle<> frame) { task_->park(frame, this); }

    void await_resume() const { task_->resumed(); }

    bool abort() noexcept override { return true; }

    const char* what() const noexcept override { return what_; }

protected:
    ~Park() = default;

private:
    LoopTask* task_;
    const char* what_;
};

/// Lets the other tasks that are ready run first.
class Yield {
public:
    bool await_ready() const noexcept { return false; }

    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> frame) const {
        frame.promise().task->park(frame, nullptr);
        frame.promise().task->wake();
    }

    void await_resume() const noexcept {}
};

}  // namespace concurrency::detail

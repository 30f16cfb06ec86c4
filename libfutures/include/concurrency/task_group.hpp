// SPDX-License-Identifier: BSL-1.0
// TaskGroup: tasks that have all ended when their block has.
// Python:  anyio.create_task_group, anyio.abc.TaskGroup, anyio.abc.TaskStatus,
//          anyio.TASK_STATUS_IGNORED.
// Differs: the block is a coroutine that is given. The group is a handle: copies of it
//          may be kept, and refuse to start anything when it has ended.
// Threads: its loop's.
// Throws:  ExceptionGroup, at the end of the block, with every error of the body and the
//          tasks in the order in which they happened, also for a single one.
// Read next: concurrency/detail/group_state.hpp
#pragma once

#include "futures/detail/task_name.hpp"

#include "concurrency/cancel.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/group_state.hpp"
#include "concurrency/errors.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace concurrency {

/// How a task is started.
struct TaskOptions {
    /// What it is called, for people: "" is a name, too, and without one it gets one
    /// for what it runs. Copied at once.
    std::string_view name = {};
};

template <class T>
class TaskStatus;

namespace detail {

/// Calls fn with the arguments moved in, or as they lie if it wants references.
template <class Fn, class... Args>
auto call_with(Fn& fn, std::tuple<Args...>& args) {
    return std::apply(
        [&](auto&... each) {
            if constexpr (std::is_invocable_v<Fn&, Args&&...>) {
                return std::invoke(fn, std::forward<Args>(each)...);
            } else {
                return std::invoke(fn, each...);
            }
        },
        args
    );
}

template <class Fn, class... Args>
using CalledWith = std::remove_cvref_t<
    decltype(call_with(std::declval<Fn&>(), std::declval<std::tuple<Args...>&>()))>;

/// A task of a group with what it calls, which lives as long: a lambda's coroutine uses
/// what the lambda captured.
template <class Fn, class... Args>
class Child : public GroupTask {
public:
    template <class F, class... As>
    explicit Child(GroupState& group, F&& fn, As&&... args)
        : GroupTask(group),
          fn_(std::forward<F>(fn)),
          args_(std::forward<As>(args)...) {}

private:
    void begin() override {
        body_ = call_with(fn_, args_);
        body_.start_in(*this);
    }

    std::exception_ptr take_error() noexcept override {
        return error_ ? error_ : body_.promise().error();
    }

    std::string default_name() const override {
        return futures::detail::TaskName::of(fn_).text();
    }

    Fn fn_;
    std::tuple<Args...> args_;
    CalledWith<Fn, Args...> body_;
};

/// A task that waits in TaskGroup::start() for another to say that it has started.
class StartWait : public Park {
public:
    explicit StartWait(LoopTask& caller) noexcept : Park(caller, "TaskGroup.start") {}

    /// The caller was cancelled, which takes the task down; how that ends is waited
    /// for.
    bool abort() noexcept override;

    void await_resume() const noexcept {}

    /// Throws what comes out of start(), unless there is a value.
    void check() const;

    GroupTask* started = nullptr;  // until it has said so, or ended
    CancelScope* scope = nullptr;  // the task's own
    StartWait** link = nullptr;    // by which the task finds this
    bool has_value = false;
    bool is_taken_down = false;
    bool has_ended = false;
    std::exception_ptr error;

protected:
    ~StartWait();
};

template <class T>
class StartWaitFor final : public StartWait {
public:
    using StartWait::StartWait;

    std::optional<T> value;
};

/// What all forms of TaskStatus do.
class TaskStatusBase {
public:
    TaskStatusBase() noexcept = default;
    TaskStatusBase(const TaskStatusBase&) = delete;
    TaskStatusBase& operator=(const TaskStatusBase&) = delete;

protected:
    ~TaskStatusBase() = default;

    /// Notes that the task has started. Gives the one who waits for that, or null if
    /// that one is gone. Throws RuntimeError the second time.
    StartWait* mark_started();
    /// The one who waits goes on, or waits for the end if it was cancelled.
    void release();

    bool is_ignored_ = false;
    bool is_started_ = false;
    GroupTask* task_ = nullptr;
    StartWait* wait_ = nullptr;

    template <class T, class Fn, class... Args>
    friend class StartedChild;
};

}  // namespace detail

/// How a task that start() started says that it is ready. Lives as long as the task.
template <class T = void>
class TaskStatus : public detail::TaskStatusBase {
public:
    /// For start() only.
    TaskStatus() noexcept = default;

    /// The task is ready: start() returns this value. Throws RuntimeError when called a
    /// second time.
    void started(T value) {
        if (detail::StartWait* wait = mark_started()) {
            static_cast<detail::StartWaitFor<T>*>(wait)->value.emplace(std::move(value)
            );
            release();
        }
    }

    /// One that nobody looks at, for a function that is awaited without start().
    static TaskStatus& ignored() noexcept {
        static Ignored status;
        return status;
    }

private:
    /// The type of ignored().
    struct Ignored;
};

/// One that nobody looks at.
template <class T>
struct TaskStatus<T>::Ignored : TaskStatus<T> {
    Ignored() noexcept { this->is_ignored_ = true; }
};

/// The same without a value.
template <>
class TaskStatus<void> : public detail::TaskStatusBase {
public:
    /// For start() only.
    TaskStatus() noexcept = default;

    /// The task is ready: start() returns. Throws RuntimeError when called a second
    /// time.
    void started() {
        if (mark_started() != nullptr) {
            release();
        }
    }

    /// One that nobody looks at, for a function that is awaited without start().
    static TaskStatus& ignored() noexcept;
};

/// The type of TASK_STATUS_IGNORED.
struct IgnoredTaskStatus {
    /// Of the type that is wanted.
    template <class T>
    // NOLINTNEXTLINE(google-explicit-constructor): it is to be a default argument
    operator TaskStatus<T>&() const noexcept {
        return TaskStatus<T>::ignored();
    }
};

/// A default argument for functions that start() can start, and that can be awaited as
/// well: Task<> serve(TaskStatus<int>& status = TASK_STATUS_IGNORED).
inline constexpr IgnoredTaskStatus TASK_STATUS_IGNORED{};

namespace detail {

template <class T, class Fn, class... Args>
class StartedChild final : public GroupTask {
public:
    template <class F, class... As>
    StartedChild(GroupState& group, StartWait& wait, F&& fn, As&&... args)
        : GroupTask(group),
          fn_(std::forward<F>(fn)),
          args_(std::forward<As>(args)..., status_) {
        status_.task_ = this;
        status_.wait_ = &wait;
        wait.started = this;
        wait.scope = &scope_;
        wait.link = &status_.wait_;
    }

    ~StartedChild() override {
        if (status_.wait_ != nullptr) {
            status_.wait_->started = nullptr;
        }
    }

private:
    void begin() override {
        scope_.enter(*this);
        body_ = call_with(fn_, args_);
        body_.start_in(*this);
    }

    std::exception_ptr take_error() noexcept override {
        std::exception_ptr error = error_ ? error_ : body_.promise().error();
        if (status_.wait_ == nullptr) {
            return error;
        }
        // Who waits in start() gets it, and the group does not.
        StartWait& wait = *std::exchange(status_.wait_, nullptr);
        wait.started = nullptr;
        wait.has_ended = true;
        wait.error = std::move(error);
        wait.task().wake();
        return nullptr;
    }

    std::string default_name() const override {
        return futures::detail::TaskName::of(fn_).text();
    }

    TaskStatus<T> status_;
    CancelScope scope_;
    Fn fn_;
    std::tuple<Args..., TaskStatus<T>&> args_;
    CalledWith<Fn, Args..., TaskStatus<T>&> body_;
};

template <class Body>
Task<> run_group(Body body);

template <class T>
using StartValue = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

}  // namespace detail

/// The tasks of a block, which ends when they have all ended; when one fails, or the
/// body does, the others are cancelled. create_task_group() makes it; a copy is the
/// same group.
class TaskGroup {
public:
    // No moves: a handle is never empty.
    TaskGroup(const TaskGroup&) = default;
    TaskGroup& operator=(const TaskGroup&) = default;
    ~TaskGroup() = default;

    /// Starts fn(args...), which gives a Task, as a task of its own, and goes on: it
    /// begins in its turn, after this task waits. fn and args are moved or copied into
    /// it and live until it has ended, so that a lambda may capture what it likes. What
    /// it returns is dropped, what it throws comes out of the group. Throws
    /// RuntimeError when the group has ended.
    template <class Fn, class... Args>
    void start_soon(Fn&& fn, Args&&... args) {
        start_soon(TaskOptions{}, std::forward<Fn>(fn), std::forward<Args>(args)...);
    }

    template <class Fn, class... Args>
    void start_soon(TaskOptions options, Fn&& fn, Args&&... args) {
        using Started = detail::Child<std::decay_t<Fn>, std::decay_t<Args>...>;
        state_->check_active();
        state_->start(
            std::make_unique<Started>(
                *state_, std::forward<Fn>(fn), std::forward<Args>(args)...
            ),
            options.name
        );
    }

    /// Starts fn(args..., TaskStatus<T>&) and waits until it calls started(); gives
    /// what that was given. The task then goes on in the group. What it throws before
    /// comes out of here as it is, and does not harm the group; ending without
    /// started() is RuntimeError. When this wait is cancelled, the task is, too, and
    /// its end is waited for. Throws RuntimeError when the group has ended.
    template <class T = void, class Fn, class... Args>
    Task<T> start(Fn&& fn, Args... args) {
        return start<T>(TaskOptions{}, std::forward<Fn>(fn), std::move(args)...);
    }

    template <class T = void, class Fn, class... Args>
    Task<T> start(TaskOptions options, Fn&& fn, Args... args) {
        detail::check_awaited_callable<Fn>();
        std::optional<std::string> name;
        if (options.name.data() != nullptr) {
            name.emplace(options.name);
        }
        return start_and_wait<T, std::decay_t<Fn>, Args...>(
            state_, std::move(name), std::forward<Fn>(fn), std::move(args)...
        );
    }

    /// The scope around the block and its tasks: cancel it, or give it a deadline.
    /// Lives as long as a handle of the group does.
    CancelScope& cancel_scope() const noexcept { return state_->scope(); }

    /// Short for cancel_scope().cancel().
    void cancel(std::string reason = {}) const {
        state_->scope().cancel(std::move(reason));
    }

private:
    template <class Body>
    friend Task<> detail::run_group(Body body);

    explicit TaskGroup(std::shared_ptr<detail::GroupState> state) noexcept
        : state_(std::move(state)) {}

    template <class T, class Fn, class... Args>
    static Task<T> start_and_wait(
        std::shared_ptr<detail::GroupState> state,
        std::optional<std::string> name,
        Fn fn,
        Args... args
    ) {
        using Value = detail::StartValue<T>;
        state->check_active();
        detail::StartWaitFor<Value> wait(detail::this_task());
        state->start(
            std::make_unique<detail::StartedChild<T, Fn, Args...>>(
                *state, wait, std::move(fn), std::move(args)...
            ),
            name ? std::string_view(*name) : std::string_view()
        );
        wait.started->set_parent_id(wait.task().id());  // until it has started
        if (wait.task().cancel_pending()) {
            wait.abort();
        }
        co_await wait;
        wait.check();
        if constexpr (!std::is_void_v<T>) {
            co_return std::move(*wait.value);
        }
    }

    std::shared_ptr<detail::GroupState> state_;
};

namespace detail {

template <class Body>
Task<> run_group(Body body) {
    GroupBlock block(this_task());
    TaskGroup group(block.state());
    std::exception_ptr error;
    try {
        co_await body(group);
    } catch (...) {
        error = std::current_exception();
    }
    block.body_ended(std::exchange(error, nullptr));
    if (!block.has_tasks()) {
        co_await Yield();  // always lets others run
    }
    while (block.has_tasks()) {
        GroupBlock::Rest rest(block);
        co_await rest;
    }
    block.leave();
}

}  // namespace detail

/// Opens a group, awaits body(group) and then all tasks that were started in it,
/// however long that takes. Suspends at least once, and is no cancel point itself. When
/// the body or a task throws, the others are cancelled, and all errors come out as one
/// ExceptionGroup, without the cancellations; Cancelled comes out when the body or a
/// task ended with it because of a scope around. Python: `async with
/// create_task_group() as group:`.
template <class Body>
Task<> create_task_group(Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::run_group<std::decay_t<Body>>(std::forward<Body>(body));
}

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
// Task: what a coroutine function returns, to be awaited once.
// Python:  the coroutine object of an `async def` function.
// Differs: a type, Task<T>, of what the coroutine returns; one that is never awaited
//          just never runs. Awaiting it is not a checkpoint: waiting is.
// Threads: that of the loop in which it is awaited. Until then it may be moved to
//          another.
// Owns:    the coroutine's frame.
// Throws:  RuntimeError, when it is awaited a second time.
// Read next: concurrency/task_group.hpp
#pragma once

#include "concurrency/detail/frame_memory.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/errors.hpp"

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

namespace concurrency {

template <class T = void>
class Task;

namespace detail {

/// What the frames of all coroutines have. No symmetric transfer: g++ 12 makes a call
/// of it when it does not optimise, and a loop of awaits then fills the stack. A
/// coroutine that awaits another, or ends, names the frame to go on with and returns to
/// the loop.
class PromiseBase {
public:
    static void* operator new(std::size_t size) { return take_frame(size); }

    static void operator delete(void* frame, std::size_t size) noexcept {
        give_frame(frame, size);
    }

    std::suspend_always initial_suspend() const noexcept { return {}; }

    struct End {
        bool await_ready() const noexcept { return false; }

        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
            const PromiseBase& ended = frame.promise();
            if (ended.caller) {
                ended.task->set_next(ended.caller);
            } else {
                ended.task->finish();
            }
        }

        void await_resume() const noexcept {}
    };

    End final_suspend() const noexcept { return {}; }

    LoopTask* task = nullptr;        // in which it runs; null until it is awaited
    std::coroutine_handle<> caller;  // what awaits it; null for a task's outermost
};

template <class T>
class Promise : public PromiseBase {
public:
    Task<T> get_return_object() noexcept;

    template <class Value = T>
    void return_value(Value&& value) {
        result_.template emplace<1>(std::forward<Value>(value));
    }

    void unhandled_exception() noexcept {
        result_.template emplace<2>(std::current_exception());
    }

    /// What it threw, or null.
    std::exception_ptr error() const noexcept {
        return result_.index() == 2 ? std::get<2>(result_) : nullptr;
    }

    T take() {
        if (result_.index() == 2) {
            std::rethrow_exception(std::exchange(std::get<2>(result_), nullptr));
        }
        return static_cast<T&&>(std::get<1>(result_));
    }

private:
    using Stored = std::conditional_t<
        std::is_reference_v<T>,
        std::reference_wrapper<std::remove_reference_t<T>>,
        T>;

    std::variant<std::monostate, Stored, std::exception_ptr> result_;
};

template <>
class Promise<void> : public PromiseBase {
public:
    Task<void> get_return_object() noexcept;

    void return_void() const noexcept {}

    void unhandled_exception() noexcept { error_ = std::current_exception(); }

    std::exception_ptr error() const noexcept { return error_; }

    void take() {
        if (error_) {
            std::rethrow_exception(std::exchange(error_, nullptr));
        }
    }

private:
    std::exception_ptr error_;
};

/// What `co_await` of a Task does.
template <class T>
class TaskAwaiter {
public:
    explicit TaskAwaiter(std::coroutine_handle<Promise<T>> frame) noexcept
        : frame_(frame) {}

    bool await_ready() const noexcept { return false; }

    template <class Caller>
    void await_suspend(std::coroutine_handle<Promise<Caller>> caller) const noexcept {
        PromiseBase& promise = frame_.promise();
        promise.task = caller.promise().task;
        promise.caller = caller;
        promise.task->set_next(frame_);
    }

    T await_resume() const { return frame_.promise().take(); }

private:
    std::coroutine_handle<Promise<T>> frame_;
};

}  // namespace detail

/// A coroutine that has not run yet, and its result later. `co_await` it, once, in a
/// task of a loop: it runs there, as a call would, and gives what it returns or throws.
/// Destroyed before it ran, it does nothing.
template <class T>
class [[nodiscard]] Task {
public:
    using value_type = T;
    /// What the compiler keeps in the coroutine's frame.
    using promise_type = detail::Promise<T>;

    /// Without a coroutine; awaiting it throws RuntimeError.
    Task() noexcept = default;

    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}

    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            reset();
            frame_ = std::exchange(other.frame_, {});
        }
        return *this;
    }

    ~Task() { reset(); }

    /// Whether it has a coroutine that nobody has awaited yet.
    bool valid() const noexcept { return frame_ && frame_.promise().task == nullptr; }

    /// Runs it and gives its result. Throws RuntimeError when it was awaited before, or
    /// has no coroutine.
    detail::TaskAwaiter<T> operator co_await() && {
        check();
        return detail::TaskAwaiter<T>(frame_);
    }

    // -- For the library.

    explicit Task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

    /// Makes it the outermost coroutine of a task.
    void start_in(detail::LoopTask& task) {
        check();
        frame_.promise().task = &task;
        task.set_next(frame_);
    }

    /// That of the coroutine. Requires: there is one.
    promise_type& promise() const noexcept { return frame_.promise(); }

    /// Destroys the coroutine, wherever it stands.
    void reset() noexcept {
        if (frame_) {
            std::exchange(frame_, {}).destroy();
        }
    }

private:
    void check() const {
        if (!valid()) {
            throw RuntimeError("a Task can be awaited once, and it has been");
        }
    }

    std::coroutine_handle<promise_type> frame_;
};

/// Another spelling of Task, for those who write `task<int> f()`.
template <class T = void>
using task = Task<T>;

namespace detail {

template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
    return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}

inline Task<void> Promise<void>::get_return_object() noexcept {
    return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

template <class T>
inline constexpr bool is_task = false;

template <class T>
inline constexpr bool is_task<Task<T>> = true;

/// The Task<T> that a call gives.
template <class Fn, class... Args>
using TaskOf = std::remove_cvref_t<std::invoke_result_t<Fn, Args...>>;

template <class Fn, class... Args>
concept CoroutineFunction =
    std::is_invocable_v<Fn, Args...> && is_task<TaskOf<Fn, Args...>>;

}  // namespace detail

/// Whether a call of this gives a Task: of a coroutine function, a lambda that is one,
/// or any callable that returns what one returned. is_coro_func<decltype(work), int> is
/// about a call with an int.
template <class Fn, class... Args>
inline constexpr bool is_coro_func = detail::CoroutineFunction<Fn&, Args...>;

/// The same of a value: is_coro_func(work).
template <class... Args, class Fn>
constexpr bool is_coro_function(const Fn&) noexcept {
    return detail::CoroutineFunction<const Fn&, Args...>;
}

}  // namespace concurrency

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
#include <memory>
#include <type_traits>
#include <utility>

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
    // Not defaulted: value_ is to be left alone.
    Promise() noexcept {}

    Promise(const Promise&) = delete;
    Promise& operator=(const Promise&) = delete;

    ~Promise() { drop_value(); }

    Task<T> get_return_object() noexcept;

    template <class Value = T>
    void return_value(Value&& value) {
        std::construct_at(std::addressof(value_), std::forward<Value>(value));
        has_value_ = true;
    }

    void unhandled_exception() noexcept {
        drop_value();  // a destructor threw after it had returned
        error_ = std::current_exception();
    }

    /// What it threw, or null.
    std::exception_ptr error() const noexcept { return error_; }

    /// Requires: it has ended.
    T take() {
        if (!has_value_) [[unlikely]] {
            rethrow();
        }
        return static_cast<T&&>(value_);
    }

private:
    using Stored = std::conditional_t<
        std::is_reference_v<T>,
        std::reference_wrapper<std::remove_reference_t<T>>,
        T>;

    // Apart, so that take() is small enough to be inlined.
    [[noreturn, gnu::noinline, gnu::cold]] void rethrow() {
        std::rethrow_exception(std::exchange(error_, nullptr));
    }

    void drop_value() noexcept {
        if (has_value_) {
            has_value_ = false;
            std::destroy_at(std::addressof(value_));
        }
    }

    // No variant, which asks what it has before it takes the one value that it gets.
    union {
        Stored value_;  // while has_value_
    };

    bool has_value_ = false;
    std::exception_ptr error_;
};

template <>
class Promise<void> : public PromiseBase {
public:
    Task<void> get_return_object() noexcept;

    void return_void() const noexcept {}

    void unhandled_exception() noexcept { error_ = std::current_exception(); }

    std::exception_ptr error() const noexcept { return error_; }

    void take() {
        if (error_) [[unlikely]] {
            rethrow();
        }
    }

private:
    [[noreturn, gnu::noinline, gnu::cold]] void rethrow() {
        std::rethrow_exception(std::exchange(error_, nullptr));
    }

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
        if (!valid()) [[unlikely]] {
            detail::throw_awaited_before();
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

/// Something with one call operator, or a function: what it returns is known without
/// arguments.
template <class Fn>
concept GivesTask = requires(Fn fn) {
    requires is_task<
        std::remove_cvref_t<typename decltype(std::function(fn))::result_type>>;
};

}  // namespace detail

/// Whether a call of this gives a Task: of a coroutine function, a lambda that is one,
/// or any callable that returns what one returned. is_coro_func<decltype(work), int> is
/// about a call with an int; without the types of arguments it is about whatever the
/// one signature of Fn takes, and about a call without arguments if Fn has several.
template <class Fn, class... Args>
inline constexpr bool is_coro_func = detail::CoroutineFunction<Fn&, Args...> ||
                                     (sizeof...(Args) == 0 &&
                                      detail::GivesTask<std::decay_t<Fn>>);

/// The same of a value: is_coro_function(work).
template <class... Args, class Fn>
constexpr bool is_coro_function(const Fn&) noexcept {
    return is_coro_func<const Fn, Args...>;
}

}  // namespace concurrency

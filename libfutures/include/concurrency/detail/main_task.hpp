// SPDX-License-Identifier: BSL-1.0
// MainTask: the task that a loop exists for, with its result.
// Python:  none, it is the coroutine that anyio.run gets.
// Differs: nothing to differ from.
// Threads: its loop's; take() when that has ended.
// Read next: src/concurrency/loop/drive.cpp
#pragma once

#include "concurrency/coroutine.hpp"

#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

namespace concurrency {

enum class Backend;

namespace detail {

class MainTask : public LoopTask {
public:
    /// Destroys its coroutines where they are, before they have ended.
    virtual void destroy() noexcept = 0;

protected:
    ~MainTask() override = default;

private:
    void end() noexcept override { stop_loop(); }

    std::string default_name() const override { return "main"; }
};

/// What run() takes: a callable that gives a Task, or a Task.
template <class Fn>
struct MainTraits {
    template <class F>
    static auto call(F& fn) {
        return fn();
    }

    using task_type = std::remove_cvref_t<std::invoke_result_t<Fn&>>;
};

template <class T>
struct MainTraits<Task<T>> {
    static Task<T> call(Task<T>& task) { return std::move(task); }

    using task_type = Task<T>;
};

template <class Fn>
concept MainFunction =
    is_task<std::remove_cvref_t<Fn>> || CoroutineFunction < std::remove_cvref_t<Fn>
& > ;

/// What run() takes with arguments.
template <class Fn, class... Args>
concept MainFunctionOf =
    sizeof...(Args) != 0 && CoroutineFunction<std::remove_cvref_t<Fn>&, Args...>;

/// A coroutine function without arguments that awaits fn(args...). What an argument is
/// converted to lives until that has ended; fn and args are referred to.
template <class Fn, class... Args>
auto call_in_main(Fn& fn, Args&&... args) {
    return [&]() -> TaskOf<Fn&, Args...> {
        if constexpr (requires { fn(std::forward<Args>(args)...); }) {
            co_return co_await fn(std::forward<Args>(args)...);
        } else {
            co_return co_await std::invoke(fn, std::forward<Args>(args)...);
        }
    };
}

template <class Fn>
using MainResult = typename MainTraits<std::remove_cvref_t<Fn>>::task_type::value_type;

template <class Fn>
class Main final : public MainTask {
public:
    explicit Main(Fn& fn) noexcept : fn_(fn) {}

    void destroy() noexcept override { body_.reset(); }

    MainResult<Fn> take() {
        if (error_) {
            std::rethrow_exception(error_);
        }
        return body_.promise().take();
    }

private:
    using Traits = MainTraits<std::remove_cvref_t<Fn>>;

    void begin() override {
        body_ = Traits::call(fn_);
        body_.start_in(*this);
    }

    void failed(std::exception_ptr error) noexcept override {
        error_ = std::move(error);
    }

    Fn& fn_;
    typename Traits::task_type body_;
    std::exception_ptr error_;
};

/// Runs a loop until the task has ended. Throws RuntimeError inside another loop.
void drive(MainTask& main, Backend backend);
/// The same in a thread of its own, which has no loop yet.
void drive_in_own_thread(MainTask& main, Backend backend);

}  // namespace detail

}  // namespace concurrency

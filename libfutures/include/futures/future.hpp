// SPDX-License-Identifier: BSL-1.0
// Future<T>: the result of a call that may not have happened yet.
// Python:  concurrent.futures.Future
// Differs: a typed handle: copies share one future, as Python's references do. result()
//          of an rvalue moves the value out. There is no promise type: set_result() is
//          a member, as in Python. What a callback throws is logged, whatever its type.
// Threads: any, also on the same handle as long as no thread assigns to it.
// Throws:  TimeoutError, CancelledError, InvalidStateError, and what the call threw.
#pragma once

#include "futures/detail/copying.hpp"
#include "futures/detail/state.hpp"
#include "futures/detail/state_ptr.hpp"
#include "futures/errors.hpp"
#include "mp/detail/forced_unwind.hpp"
#include "mp/timeout.hpp"

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace futures {

/// The fields of a future at one moment.
template <class T>
struct FutureSnapshot {
    /// Cancelled or finished.
    bool done = false;
    /// By cancel(); then there is neither result nor exception.
    bool cancelled = false;
    std::add_pointer_t<const T> result = nullptr;  ///< null without a value
    /// What the call threw; null without.
    std::exception_ptr exception;
};

/// The type of `running`.
struct Running {};

/// For Future::cancel(): calls that run, too.
inline constexpr Running running{};

namespace detail {

/// Waits; throws TimeoutError, CancelledError or the future's exception.
void await_value(StateBase& state, mp::Timeout timeout);
/// Waits; throws TimeoutError or CancelledError.
std::exception_ptr await_exception(StateBase& state, mp::Timeout timeout);
/// Requires: an exception is being handled.
void log_callback_error(const StateBase& state) noexcept;
void log_callback_exit(const StateBase& state) noexcept;
[[noreturn]] void throw_no_state();

/// What follows a future: futures/then.hpp, which every pool's header brings.
template <class T>
struct Continuation;

}  // namespace detail

/// Values of T cannot be copied: a std::unique_ptr, a container of those, a struct with
/// either. Specialise as true for a class that hides such members and declares a copy
/// constructor which does not compile.
template <class T>
inline constexpr bool is_taken_once =
    !std::is_void_v<T> && detail::copying<T> == detail::Copying::fails;

/// Result types that result() can only give away once.
template <class T>
concept TakenOnce = is_taken_once<T>;

/// What set_result() takes for a Future<T>: what a T can be made of, nothing for void.
template <class T, class... Args>
concept ResultOf =
    (std::is_void_v<T> && sizeof...(Args) == 0) || std::constructible_from<T, Args...>;

template <class T>
class Future {
    static_assert(
        std::is_same_v<T, std::decay_t<T>>,
        "a future holds a value: T may be no reference, array or const type"
    );
    using State = detail::State<T>;

public:
    using value_type = T;

    /// A pending future of its own, to be settled by set_result() or set_exception().
    Future() : state_(new State(detail::Settler::anybody)) {}

    /// For executors: the handle of a state, taking over one reference to it.
    explicit Future(detail::StatePtr<State> state) noexcept
        : state_(std::move(state)) {}

    /// One more handle of the same future.
    Future(const Future& other) noexcept : state_(other.state_) { expect_copies(); }

    Future(Future&&) noexcept = default;
    Future& operator=(Future&&) noexcept = default;
    ~Future() = default;

    Future& operator=(const Future& other) noexcept { return *this = Future(other); }

    /// Cancels the call if it has not begun. True when it is cancelled, also when it
    /// was before; false when it runs or has finished. Runs the callbacks.
    bool cancel() const { return base().cancel(); }

    /// The same for a call that may run: it is stopped. Does not wait for that. True
    /// when the future is cancelled, now or as soon as the call is over: then result()
    /// throws CancelledError and the callbacks run. False when it has finished.
    /// - In a process pool, the stop token of the call is set, and after .grace and
    ///   .kill_after of its options its worker is ended and replaced, as at a timeout;
    ///   no other task is harmed, the pool does not break.
    /// - In a thread pool, the stop token is set, and no more can be done: if the call
    ///   returns a value all the same, the future has that value.
    /// - A future made by hand that runs: false.
    /// docs/concepts/timeouts_and_cancelling.md
    bool cancel(Running) const { return base().cancel_running(); }

    /// Whether cancel() came before the call began, or cancel(running) before its end.
    bool cancelled() const {
        const auto state = base().state();
        return state == FutureState::cancelled ||
               state == FutureState::cancelled_and_notified;
    }

    /// Whether a worker has begun the call and not ended it.
    bool running() const { return base().state() == FutureState::running; }

    /// Cancelled or finished.
    bool done() const { return base().done(); }

    /// Waits for the value. The reference lives as long as any handle of the future.
    /// Throws: what the call threw, CancelledError, TimeoutError when it is not done in
    /// time (0 does not wait), InvalidStateError when the value was moved out before,
    /// DeadlockError where it could never end: in a task, or a function of then(), for
    /// which this would wait in turn.
    std::add_lvalue_reference_t<const T>
    result(mp::Timeout timeout = mp::forever) const& {
        detail::await_value(base(), timeout);
        if constexpr (!std::is_void_v<T>) {
            state_->check_not_taken();
            return state_->value();
        }
    }

    /// The same of a temporary: moves the value out when this is the only handle, else
    /// copies it. A value that cannot be copied is moved out once, whatever handles
    /// there are; then result() of each throws InvalidStateError.
    T result(mp::Timeout timeout = mp::forever) && {
        detail::await_value(base(), timeout);
        if constexpr (TakenOnce<T>) {
            state_->take_value();
            return std::move(state_->value());
        } else if constexpr (!std::is_void_v<T>) {
            if (state_->is_sole()) {
                state_->take_value();
                return std::move(state_->value());
            }
            return copied_value();
        }
    }

    /// Waits; null when the call returned a value. Throws: CancelledError,
    /// TimeoutError, DeadlockError.
    std::exception_ptr exception(mp::Timeout timeout = mp::forever) const {
        return detail::await_exception(base(), timeout);
    }

    /// Calls `callback(future)` once, when this is done, in the thread that finishes or
    /// cancels it (of a task that ran on the stack of one that waits, in any thread of
    /// its pool); at once in this thread if it is done already. Callbacks run in the
    /// order they were added; what one throws is logged and the next one runs. Waiting
    /// in one for another future of the same executor works. See docs/gotchas.md.
    template <std::invocable<Future<T>> Callback>
    void add_done_callback(Callback&& callback) const {
        expect_copies();
        base().add_callback(std::make_unique<DoneCallback<std::decay_t<Callback>>>(
            std::forward<Callback>(callback)
        ));
    }

    /// The future of `fn(value)`, called once this has its value: in the thread that
    /// completes it, or at once in this one if it is done. Without the value `fn` is
    /// not called: the new future fails with the same exception, or is cancelled with
    /// this one. Cancelling the new one leaves this alone. `fn` gets a const reference
    /// to the value or a copy; of a temporary handle that is the only one, what is
    /// moved out; of a Future<void> nothing. If it takes a Future<T>, it gets the
    /// future, also a failed one. If it returns a future, the new one is done when that
    /// is, with its outcome.
    template <class Fn>
    auto then(Fn&& fn) const& {
        return detail::Continuation<T>::then(*this, std::forward<Fn>(fn));
    }
    template <class Fn>
    auto then(Fn&& fn) && {
        return detail::Continuation<T>::then(std::move(*this), std::forward<Fn>(fn));
    }

    /// The same as a task of `pool`: pool.submit(fn, future), after it. When this
    /// fails, the task raises DependencyError.
    template <class Pool, class Fn>
    auto then(Pool& pool, Fn&& fn) const& {
        return detail::Continuation<T>::submit(*this, pool, std::forward<Fn>(fn));
    }
    template <class Pool, class Fn>
    auto then(Pool& pool, Fn&& fn) && {
        return detail::Continuation<T>::submit(
            std::move(*this), pool, std::forward<Fn>(fn)
        );
    }

    /// A future of the same value, or if this fails, of what `fn(exception)` returns,
    /// given a std::exception_ptr; what that throws is the new failure. Not called for
    /// a cancelled one, which the new one then raises CancelledError for.
    template <class Fn>
    Future recover(Fn&& fn) const& {
        return detail::Continuation<T>::recover(*this, std::forward<Fn>(fn));
    }
    template <class Fn>
    Future recover(Fn&& fn) && {
        return detail::Continuation<T>::recover(std::move(*this), std::forward<Fn>(fn));
    }

    /// For a future made by hand: the value. Throws InvalidStateError when it is done,
    /// or belongs to an executor.
    template <class... Args>
        requires ResultOf<T, Args...>
    void set_result(Args&&... args) const {
        base().begin_settling("set_result");
        try {
            state_->emplace(std::forward<Args>(args)...);
        } catch (...) {
            base().abandon_settling();
            throw;
        }
        base().end_settling(detail::Outcome::value);
    }

    /// For a future made by hand. Requires: not null. Throws as set_result().
    void set_exception(std::exception_ptr exception) const {
        base().begin_settling("set_exception");
        base().store_exception(std::move(exception));
        base().end_settling(detail::Outcome::exception);
    }

    template <class E>
        requires std::derived_from<E, std::exception>
    void set_exception(const E& exception) const {
        set_exception(std::make_exception_ptr(exception));
    }

    /// For a future made by hand: pending becomes running (true); cancelled becomes
    /// known to be cancelled, and wait() counts it (false). Otherwise it is logged and
    /// InvalidStateError is thrown.
    bool set_running_or_notify_cancel() const {
        return base().set_running_or_notify_cancel();
    }

    /// All at one moment, without waiting. `result` points into the future.
    FutureSnapshot<T> get_snapshot() const {
        FutureSnapshot<T> snapshot;
        const auto state = base().state();
        snapshot.done = base().done();
        if (state == FutureState::finished) {
            base().settle_value();
            snapshot.exception = base().exception();
            if constexpr (!std::is_void_v<T>) {
                if (snapshot.exception == nullptr) {
                    snapshot.result = &state_->value();
                }
            }
        } else {
            snapshot.done = state >= FutureState::cancelled;
            snapshot.cancelled = snapshot.done;
        }
        return snapshot;
    }

    /// Python's repr(): "<Future at 0x55d0c0 state=finished returned int>".
    std::string to_string() const { return base().describe(typeid(T).name()); }

    /// The same future, not an equal value.
    friend bool operator==(const Future& a, const Future& b) noexcept {
        return a.state_.get() == b.state_.get();
    }

    /// What wait(), as_completed() and executors work on. Throws InvalidStateError when
    /// the handle was moved from.
    detail::StateBase& base() const {
        if (!state_) {
            detail::throw_no_state();
        }
        return *state_;
    }

    /// Identity; null when the handle was moved from.
    const void* id() const noexcept { return state_.get(); }

private:
    /// To be called where a second handle is made.
    void expect_copies() const noexcept {
        if constexpr (!std::is_void_v<T> && !TakenOnce<T>) {
            if (state_) {
                state_->copy_way().expect_copies();
            }
        }
    }

    T copied_value() const {
        if constexpr (detail::copying<T> == detail::Copying::works) {
            state_->check_not_taken();
            return state_->value();
        } else if (const auto copy = state_->copy_way().copy_function()) {
            state_->check_not_taken();
            return copy(state_->value());
        } else {
            // The other reference is its executor's, which is about to drop it.
            state_->take_value();
            return std::move(state_->value());
        }
    }

    template <class Callback>
    class DoneCallback final : public detail::Watcher {
    public:
        explicit DoneCallback(Callback callback)
            : Watcher(true), callback_(std::move(callback)) {}

        void told(detail::StateBase& state) override {
            try {
                state.add_reference();
                std::invoke(
                    callback_,
                    Future(detail::StatePtr<State>(static_cast<State*>(&state)))
                );
            } catch (const mp::detail::ForcedUnwind&) {
                detail::log_callback_exit(state);
                throw;  // the thread ends
            } catch (...) {
                detail::log_callback_error(state);
            }
        }

    private:
        Callback callback_;
    };

    detail::StatePtr<State> state_;
};

}  // namespace futures

template <class T>
struct std::hash<futures::Future<T>> {
    std::size_t operator()(const futures::Future<T>& future) const noexcept {
        return std::hash<const void*>()(future.id());
    }
};

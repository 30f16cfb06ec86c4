// SPDX-License-Identifier: BSL-1.0
// CancelScope: a block of a task that can be ended from outside or by a time limit; and
// the short forms: fail_after, move_on_after, fail_at, move_on_at, shield.
// Python:  anyio.CancelScope, fail_after, move_on_after, current_effective_deadline;
//          lionpride.libs.concurrency.fail_at, move_on_at, effective_deadline, shield.
// Differs: the block is a coroutine that is given, because no destructor can absorb an
//          exception. A relative limit counts from when the block is entered.
// Threads: its loop's.
// Throws:  Cancelled, at each checkpoint of the block while it is cancelled; TimeoutError
//          of fail_after and fail_at; RuntimeError, when it is entered twice.
// Read next: src/concurrency/scope/cancel_scope.cpp
#pragma once

#include "concurrency/clock.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/detail/timer.hpp"

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace concurrency {

class CancelScope;

/// How a CancelScope begins.
struct CancelScopeOptions {
    /// When it is cancelled by itself, on the clock of current_time().
    Instant deadline = std::nullopt;
    /// Whether the block is not to see that scopes around it are cancelled.
    bool shield = false;
};

/// What fail_after() and the like may be given besides the time.
struct LimitOptions {
    /// Whether the block is not to see that scopes around it are cancelled; its own
    /// limit ends it all the same.
    bool shield = false;
    /// What TimeoutError says, and Cancelled as its reason; copied at once. Empty for a
    /// text of the library's.
    std::string_view reason = {};
};

namespace detail {

class GroupBlock;
class GroupState;

/// A time limit, as the short forms get it.
struct Limit {
    // No aggregate: CancelScope({.shield = true}) is to mean its options.
    Limit(double time, bool is_relative, const LimitOptions& options, bool is_error)
        : seconds(time),
          relative(is_relative),
          shield(options.shield),
          fails(is_error),
          reason(options.reason) {}

    double seconds;
    bool relative;
    bool shield;
    bool fails;
    std::string reason;
};

/// What is to be awaited in a scope: a callable, with or without the scope as its
/// argument, or a Task.
template <class Body>
struct ScopeBody {
    static auto call(Body& body, CancelScope& scope) {
        if constexpr (std::is_invocable_v<Body&, CancelScope&>) {
            return body(scope);
        } else {
            return body();
        }
    }
};

template <class T>
struct ScopeBody<Task<T>> {
    static Task<T> call(Task<T>& body, CancelScope&) { return std::move(body); }
};

template <class Body>
using ScopeTask =
    decltype(ScopeBody<Body>::call(std::declval<Body&>(), std::declval<CancelScope&>())
    );

/// What the block returns.
template <class Body>
using ScopeValue = typename ScopeTask<std::decay_t<Body>>::value_type;

}  // namespace detail

/// A block that can be cancelled. While it is, every checkpoint of every task in it
/// throws Cancelled, again and again, unless a shield lies between; the scope absorbs
/// that at its end, if no scope around it that it can see is cancelled as well. Errors
/// pass.
class CancelScope final : private detail::ScopeNode, private detail::Timer {
public:
    /// Throws ValueError for a deadline that is not a number.
    explicit CancelScope(CancelScopeOptions options = {});

    /// Short for CancelScope({.deadline = deadline, .shield = shield}).
    template <class Time>
        requires(std::is_arithmetic_v<Time> || std::is_same_v<Time, detail::TimePoint>)
    explicit CancelScope(Time deadline, bool shield = false)
        : CancelScope(CancelScopeOptions{.deadline = deadline, .shield = shield}) {}

    CancelScope(const CancelScope&) = delete;
    CancelScope& operator=(const CancelScope&) = delete;
    ~CancelScope();

    /// Awaits the body in the scope, once: a callable that gives a Task, and may take
    /// the scope as its argument, or a Task. Gives what the body returns, as an
    /// optional; or true for one that returns nothing. Empty, or false, when the scope
    /// absorbed a cancellation. Throws what passes the scope, and RuntimeError when it
    /// was entered before. Python: `with scope:`.
    template <class Body>
    auto run(Body&& body);

    /// Cancels the block, at once: tasks in it that wait are woken, in their turn. May
    /// be called before the block is entered, and again; the first reason is that of
    /// the Cancelled, and a deadline that has passed is the cause that stands. Throws
    /// RuntimeError from another loop, and from a thread outside the loop.
    void cancel(std::string reason = {});

    /// Whether it was cancelled, by cancel() or by its deadline.
    bool cancel_called() const;

    /// Whether its end absorbed a cancellation.
    bool cancelled_caught() const noexcept { return caught_; }

    /// When it is cancelled by itself, in seconds on the loop's clock; inf for never.
    /// Of a relative limit that is not entered: as if it were entered now.
    double deadline() const;

    /// Moves the deadline; one that has passed cancels the block at once. Throws
    /// RuntimeError as cancel() does.
    void set_deadline(Instant deadline);

    /// Whether the block does not see that scopes around it are cancelled.
    bool shield() const noexcept { return shield_; }

    /// While it is set, scopes around do not cancel the block. Taking it away delivers
    /// what was held back, also to tasks that wait. Throws RuntimeError as cancel()
    /// does.
    void set_shield(bool shield);

    // -- For the library.

    explicit CancelScope(detail::Limit limit);

    /// Throws RuntimeError when it was entered before.
    void enter(detail::LoopTask& task);

    /// The block ended, with this error or none: throws what passes the scope; false if
    /// it absorbed all there was.
    bool leave(std::exception_ptr error);

    /// The block is gone, if it has not ended.
    void abandon() noexcept;

private:
    friend class detail::GroupBlock;
    friend class detail::GroupState;

    enum class State : unsigned char { fresh, entered, left };

    void fire() noexcept override;
    void check_loop() const;
    double now() const;
    bool has_passed() const;
    void cancel_by_deadline() noexcept;
    void arm(double present);
    void detach() noexcept;

    // Set once, before it is entered.
    std::optional<double> after_;  // seconds from when it is entered
    bool fails_ = false;           // a timeout is an error

    State state_ = State::fresh;
    bool by_deadline_ = false;  // what cancelled it first
    bool caught_ = false;
    detail::LoopTask* host_ = nullptr;  // the task that entered it, until it has left
};

namespace detail {

/// In the frame of a block: when that is destroyed where it waits, the scope, which may
/// live on, is left.
class ScopeEntry {
public:
    ScopeEntry(CancelScope& scope, LoopTask& task) : scope_(scope) {
        scope.enter(task);
    }

    ScopeEntry(const ScopeEntry&) = delete;
    ScopeEntry& operator=(const ScopeEntry&) = delete;

    ~ScopeEntry() { scope_.abandon(); }

private:
    CancelScope& scope_;
};

template <class Body>
Task<bool> run_in_scope(CancelScope& scope, Body body) {
    const ScopeEntry entry(scope, this_task());
    std::exception_ptr error;
    try {
        co_await ScopeBody<Body>::call(body, scope);
    } catch (...) {
        error = std::current_exception();
    }
    co_return scope.leave(std::move(error));
}

template <class T, class Body>
Task<std::optional<T>> run_for_value(CancelScope& scope, Body body) {
    const ScopeEntry entry(scope, this_task());
    std::exception_ptr error;
    std::optional<T> value;
    try {
        value.emplace(co_await ScopeBody<Body>::call(body, scope));
    } catch (...) {
        error = std::current_exception();
    }
    scope.leave(std::move(error));
    co_return std::move(value);
}

/// run() of a scope, with a body that is its own.
template <class Body>
auto run_body(CancelScope& scope, Body body) {
    using T = ScopeValue<Body>;
    if constexpr (std::is_void_v<T>) {
        return run_in_scope(scope, std::move(body));
    } else {
        return run_for_value<T>(scope, std::move(body));
    }
}

template <class Body>
using LimitResult = typename decltype(run_body(
    std::declval<CancelScope&>(), std::declval<std::decay_t<Body>>()
))::value_type;

template <class Body>
Task<LimitResult<Body>> move_on(Limit limit, Body body) {
    CancelScope scope(std::move(limit));
    Task<LimitResult<Body>> running = run_body(scope, std::move(body));
    co_return co_await std::move(running);
}

[[noreturn]] void throw_without_value();

template <class Body>
Task<ScopeValue<Body>> fail(Limit limit, Body body) {
    CancelScope scope(std::move(limit));
    Task<LimitResult<Body>> running = run_body(scope, std::move(body));
    if constexpr (std::is_void_v<ScopeValue<Body>>) {
        co_await std::move(running);
    } else {
        LimitResult<Body> value = co_await std::move(running);
        if (!value) {
            throw_without_value();
        }
        co_return std::move(*value);
    }
}

template <class Fn, class... Args>
auto shielded(Fn fn, Args... args) -> Task<typename TaskOf<Fn&, Args&...>::value_type> {
    using T = typename TaskOf<Fn&, Args&...>::value_type;
    CancelScope scope({.shield = true});
    auto body = [&] {
        return std::invoke(fn, args...);
    };
    if constexpr (std::is_void_v<T>) {
        co_await run_in_scope(scope, std::ref(body));
    } else {
        auto value = co_await run_for_value<T>(scope, std::ref(body));
        co_return std::move(*value);
    }
}

}  // namespace detail

template <class Body>
auto CancelScope::run(Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::run_body<std::decay_t<Body>>(*this, std::forward<Body>(body));
}

/// Awaits the body, for so long and no longer; std::nullopt is no limit. Gives what the
/// body returns, as an optional, or true for one that returns nothing; empty, or false,
/// when the limit ended it. Zero or less strikes at the body's first checkpoint. The
/// body is a callable that gives a Task, and may take the CancelScope as its argument,
/// or a Task. The options may stand before it or after it.
template <class Body>
auto move_on_after(Delay delay, LimitOptions options, Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::move_on<std::decay_t<Body>>(
        detail::Limit(delay.seconds(), true, options, false), std::forward<Body>(body)
    );
}

template <class Body>
auto move_on_after(Delay delay, Body&& body, LimitOptions options = {}) {
    return move_on_after(delay, options, std::forward<Body>(body));
}

/// The same until a time on the loop's clock; one that has passed is like a limit of 0.
template <class Body>
auto move_on_at(Instant deadline, LimitOptions options, Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::move_on<std::decay_t<Body>>(
        detail::Limit(deadline.seconds(), false, options, false),
        std::forward<Body>(body)
    );
}

template <class Body>
auto move_on_at(Instant deadline, Body&& body, LimitOptions options = {}) {
    return move_on_at(deadline, options, std::forward<Body>(body));
}

/// Awaits the body as move_on_after() does, and gives what it returns. Throws
/// TimeoutError when the limit ended it; an error of the body goes before that.
/// Cancelled by hand it just returns, or throws RuntimeError if it would have to return
/// something.
template <class Body>
auto fail_after(Delay delay, LimitOptions options, Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::fail<std::decay_t<Body>>(
        detail::Limit(delay.seconds(), true, options, true), std::forward<Body>(body)
    );
}

template <class Body>
auto fail_after(Delay delay, Body&& body, LimitOptions options = {}) {
    return fail_after(delay, options, std::forward<Body>(body));
}

/// The same until a time on the loop's clock; one that has passed is like a limit of 0.
template <class Body>
auto fail_at(Instant deadline, LimitOptions options, Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::fail<std::decay_t<Body>>(
        detail::Limit(deadline.seconds(), false, options, true),
        std::forward<Body>(body)
    );
}

template <class Body>
auto fail_at(Instant deadline, Body&& body, LimitOptions options = {}) {
    return fail_at(deadline, options, std::forward<Body>(body));
}

/// A scope with this limit, to be run later and looked at afterwards:
/// auto scope = move_on_after(5); co_await scope.run(body). The time counts from run().
CancelScope move_on_after(Delay delay, LimitOptions options = {});
CancelScope move_on_at(Instant deadline, LimitOptions options = {});
/// The same; run() throws TimeoutError when the limit ended the body.
CancelScope fail_after(Delay delay, LimitOptions options = {});
CancelScope fail_at(Instant deadline, LimitOptions options = {});

/// Awaits fn(args...), which gives a Task, where scopes around do not cancel it: they
/// strike at the next checkpoint after it. Limits inside work as ever. The arguments
/// are copied, and live until it has ended.
template <class Fn, class... Args>
    requires detail::CoroutineFunction < std::decay_t<Fn>
&, Args&... > auto shield(Fn&& fn, Args... args) {
    detail::check_awaited_callable<Fn>();
    return detail::shielded<std::decay_t<Fn>, Args...>(
        std::forward<Fn>(fn), std::move(args)...
    );
}

/// The same for a Task.
template <class T>
Task<T> shield(Task<T> body) {
    CancelScope scope({.shield = true});
    if constexpr (std::is_void_v<T>) {
        co_await detail::run_in_scope(scope, std::move(body));
    } else {
        auto value = co_await detail::run_for_value<T>(scope, std::move(body));
        co_return std::move(*value);
    }
}

/// The earliest deadline that can end what runs here, in seconds on the loop's clock;
/// none for none, minus inf if a scope that can be seen is cancelled already. A shield
/// hides what lies around it. Throws RuntimeError outside a loop.
std::optional<double> effective_deadline();

}  // namespace concurrency

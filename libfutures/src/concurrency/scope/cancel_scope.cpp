// SPDX-License-Identifier: BSL-1.0
// What makes a scope of the tree a block: how it is entered and left, and its deadline.
#include "concurrency/cancel.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <new>

namespace concurrency {

namespace {

constexpr const char* by_deadline = "deadline exceeded";

}  // namespace

CancelScope::CancelScope(CancelScopeOptions options) : Timer(Kind::deadline) {
    deadline_ = options.deadline.seconds();
    shield_ = options.shield;
}

CancelScope::CancelScope(detail::Limit limit)
    : Timer(Kind::deadline), fails_(limit.fails) {
    shield_ = limit.shield;
    reason_ = std::move(limit.reason);
    if (!limit.relative) {
        deadline_ = limit.seconds;
    } else if (limit.seconds != inf) {
        after_ = limit.seconds;
    }
}

CancelScope::~CancelScope() {
    abandon();
}

void CancelScope::cancel(std::string reason) {
    check_loop();
    if (state_ != State::left && has_passed()) {
        cancel_by_deadline();  // nobody has looked yet
    }
    Timer::clear();
    call(std::move(reason));
}

bool CancelScope::cancel_called() const {
    return called_ || (state_ == State::fresh && has_passed());
}

double CancelScope::deadline() const {
    return after_ && state_ == State::fresh ? now() + *after_ : deadline_;
}

void CancelScope::set_deadline(Instant deadline) {
    check_loop();
    if (state_ == State::fresh && has_passed()) {
        cancel_by_deadline();  // what has passed has been a deadline
    }
    after_.reset();
    deadline_ = deadline.seconds();
    if (state_ == State::entered && !called_) {
        Timer::clear();
        arm(now());
    }
}

void CancelScope::set_shield(bool shield) {
    check_loop();
    shield_ = shield;
    if (state_ == State::entered) {
        update();
    }
}

void CancelScope::enter(detail::LoopTask& task) {
    if (state_ != State::fresh) {
        throw RuntimeError("a CancelScope can be entered once, and it has been");
    }
    state_ = State::entered;
    host_ = &task;
    enter_tree(task);
    // The clock is what a limit that does not strike costs most: one look at it.
    try {
        if (after_) {
            const double entered = now();
            deadline_ = entered + *after_;
            arm(entered);
        } else if (deadline_ != inf) {
            arm(now());
        }
    } catch (...) {
        detach();  // nobody is going to leave it
        throw;
    }
    update();
}

bool CancelScope::leave(std::exception_ptr error) {
    const bool passes_on = is_cancelled_around();
    detach();
    if (!error) {
        return true;
    }
    if (!called_ || passes_on) {
        std::rethrow_exception(std::move(error));
    }
    auto [cancellation, rest] = split_cancellation(error);
    caught_ = cancellation != nullptr;
    if (rest) {
        std::rethrow_exception(std::move(rest));
    }
    if (fails_ && by_deadline_) {
        const bool is_usual = reason_.empty() || reason_ == by_deadline;
        throw TimeoutError(is_usual ? "the time limit of a block has passed" : reason_);
    }
    return false;
}

void CancelScope::fire() noexcept {
    cancel_by_deadline();
}

void CancelScope::cancel_by_deadline() noexcept {
    if (called_) {
        return;
    }
    by_deadline_ = true;
    try {
        call(reason_.empty() ? by_deadline : std::move(reason_));
    } catch (const std::bad_alloc&) {
        call({});
    }
}

void CancelScope::check_loop() const {
    if (state_ == State::entered) {
        host_->loop().check_here();
    }
}

double CancelScope::now() const {
    const detail::Loop* loop =
        state_ == State::entered ? &host_->loop() : detail::Loop::running();
    return detail::to_seconds(loop != nullptr ? loop->now() : detail::Clock::now());
}

bool CancelScope::has_passed() const {
    const bool is_known = !after_ || state_ != State::fresh;
    return is_known && deadline_ != inf && deadline_ <= now();
}

void CancelScope::arm(double present) {
    if (deadline_ == inf || called_) {
        return;
    }
    if (deadline_ <= present) {
        cancel_by_deadline();
    } else {
        Timer::set(host_->loop(), detail::to_time_point(deadline_));
    }
}

void CancelScope::abandon() noexcept {
    if (state_ == State::entered) {
        detach();
    }
}

void CancelScope::detach() noexcept {
    Timer::clear();
    state_ = State::left;
    host_ = nullptr;
    leave_tree();
}

namespace detail {

void throw_without_value() {
    throw RuntimeError("the block was cancelled before it had a value to give");
}

}  // namespace detail

CancelScope move_on_after(Delay delay, LimitOptions options) {
    return CancelScope(detail::Limit(delay.seconds(), true, options, false));
}

CancelScope move_on_at(Instant deadline, LimitOptions options) {
    return CancelScope(detail::Limit(deadline.seconds(), false, options, false));
}

CancelScope fail_after(Delay delay, LimitOptions options) {
    return CancelScope(detail::Limit(delay.seconds(), true, options, true));
}

CancelScope fail_at(Instant deadline, LimitOptions options) {
    return CancelScope(detail::Limit(deadline.seconds(), false, options, true));
}

std::optional<double> effective_deadline() {
    const detail::ScopeNode* scope = detail::this_task().scope();
    const double deadline = scope != nullptr ? scope->effective_deadline() : inf;
    return deadline == inf ? std::nullopt : std::optional(deadline);
}

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
// The owner is noted when the lock is handed over, not when the new owner runs: nobody
// can take it in between.
#include "concurrency/lock.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/primitives/lock_claim.hpp"

#include <string>
#include <utility>

namespace concurrency {

void Lock::Claim::throw_broken(std::uint64_t ended_owner) {
    throw BrokenResourceError(
        "the task that has the lock, number " + std::to_string(ended_owner) +
        ", ended without releasing it"
    );
}

Task<> Lock::acquire() {
    Request claim(*this, detail::this_task());
    co_await claim;
    claim.keep();
}

Task<Lock::Guard> Lock::scoped() {
    Request claim(*this, detail::this_task());
    co_await claim;
    claim.keep();
    co_return Guard(*this, claim.task().id());
}

void Lock::acquire_nowait() {
    detail::LoopTask& task = detail::this_task();
    if (locked()) {
        check_obtainable(task);
        throw WouldBlock("another task has the lock");
    }
    set_owner(task);
}

void Lock::release() {
    check_owner(detail::this_task());
    waiters_.check();
    pass_on();
}

LockStatistics Lock::statistics() const {
    return {
        locked(),
        owner_ != nullptr ? std::optional(TaskInfo(*owner_)) : std::nullopt,
        waiters_.size()};
}

void Lock::owner_ended() noexcept {
    ended_owner_ = owner_->id();
    owner_ = nullptr;
    while (!waiters_.empty()) {
        static_cast<Claim&>(waiters_.pop_front()).fail(ended_owner_);
    }
}

// By a guard, and by hand: in the task that got it.
void Lock::release(std::uint64_t owner) {
    if (owner_ == nullptr || owner_->id() != owner) {
        throw RuntimeError("the task that got the guard does not have the lock");
    }
    release();
}

// Without an exception, and wherever it is: in another task, or in none, when the
// owner's coroutine is destroyed. What was released by hand meanwhile is not the
// guard's any more.
void Lock::give_back(std::uint64_t owner) noexcept {
    if (owner_ != nullptr && owner_->id() == owner && waiters_.check_for_guard()) {
        pass_on();
    }
}

void Lock::check_obtainable(const detail::LoopTask& task) const {
    if (owner_ == &task) {
        throw RuntimeError("this task has the lock already");
    }
    if (owner_ == nullptr) {
        Claim::throw_broken(ended_owner_);
    }
    detail::check_loop(*owner_);
}

void Lock::check_owner(const detail::LoopTask& task) const {
    if (owner_ != &task) {
        throw RuntimeError(
            owner_ == nullptr ? "no task has the lock" : "another task has the lock"
        );
    }
}

void Lock::set_owner(detail::LoopTask& task) noexcept {
    owner_ = &task;
    task.hold(*this);
}

void Lock::pass_on() noexcept {
    Held::unlink();
    owner_ = nullptr;
    if (!waiters_.empty()) {
        detail::Claim& next = waiters_.pop_front();
        set_owner(next.task());
        next.serve_and_wake();
    }
}

void Lock::give_in_turn(Claim& claim) noexcept {
    if (ended_owner_ != 0) {
        claim.fail(ended_owner_);
    } else if (owner_ != nullptr) {
        waiters_.push_back(claim);
    } else {
        set_owner(claim.task());
        claim.serve_and_wake();
    }
}

}  // namespace concurrency

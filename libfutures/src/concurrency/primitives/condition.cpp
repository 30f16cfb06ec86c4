// SPDX-License-Identifier: BSL-1.0
// A task that waits is in the condition's queue, until it is notified or cancelled, and
// then in that of the lock. So nobody is woken only to wait for the lock, and a
// notification is not lost: it goes to a task that was not cancelled before.
#include "concurrency/condition.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/primitives/lock_claim.hpp"

namespace concurrency {

class Condition::Claim final : public Lock::Claim {
public:
    Claim(Lock& lock, detail::LoopTask& task) noexcept
        : Lock::Claim(lock, task, "Condition.wait") {}

    /// Gives the lock away, and waits for a notification.
    void ask_in(detail::ClaimQueue& waiters) {
        task().check_cancelled();
        waiters.check();
        lock().waiters_.check();
        waiters.push_back(*this);
        lock().pass_on();
    }

    /// It is out of the condition's queue, and waits for the lock.
    void notified() noexcept {
        is_notified_ = true;
        lock().give_in_turn(*this);
    }

    /// Cancelled, it has to get the lock back all the same.
    bool abort() noexcept override {
        if (!is_notified_) {
            is_cancelled_ = true;
            unlink();
            notified();
        }
        return false;
    }

    void check_cancelled() const {
        if (is_cancelled_) {
            task().check_cancelled();
            throw Cancelled();  // a shield that was put up since does not take it back
        }
    }

private:
    bool is_notified_ = false;
    bool is_cancelled_ = false;
};

Task<> Condition::wait() {
    check_owner();
    Claim claim(*lock_, detail::this_task());
    claim.ask_in(waiters_);
    co_await claim;
    claim.keep();
    claim.check_cancelled();
}

void Condition::notify(std::size_t n) {
    check_owner();
    waiters_.check();
    for (; n > 0 && !waiters_.empty(); --n) {
        static_cast<Claim&>(waiters_.pop_front()).notified();
    }
}

ConditionStatistics Condition::statistics() const {
    return {waiters_.size(), lock_->statistics()};
}

void Condition::check_owner() const {
    lock_->check_owner(detail::this_task());
}

}  // namespace concurrency

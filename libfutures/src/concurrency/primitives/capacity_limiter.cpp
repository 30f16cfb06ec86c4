// SPDX-License-Identifier: BSL-1.0
#include "concurrency/capacity_limiter.hpp"

#include "concurrency/errors.hpp"

#include <cmath>

namespace concurrency {

namespace {

double checked_total(double total_tokens) {
    // inf is a whole number here, and what is no number is none.
    if (!(total_tokens >= 0) || total_tokens != std::floor(total_tokens)) {
        throw ValueError("total_tokens must be a whole number >= 0, or inf");
    }
    return total_tokens;
}

void check_somebody(Borrower borrower) {
    if (borrower.is_nobody()) {
        throw ValueError("a Borrower that is nobody borrows nothing");
    }
}

}  // namespace

class CapacityLimiter::Claim final : public detail::Claim {
public:
    Claim(CapacityLimiter& limiter, detail::LoopTask& task, Borrower borrower)
        : detail::Claim(task, "CapacityLimiter.acquire"),
          limiter_(limiter),
          borrower_(borrower.is_nobody() ? Borrower::task(task.id()) : borrower) {
        task.check_cancelled();
        if (limiter.take(borrower_)) {
            serve();
        } else {
            limiter.borrowers_.insert(borrower_, true);
            limiter.waiters_.push_back(*this);
        }
    }

    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    ~Claim() {
        if (is_served()) {
            limiter_.give_back(borrower_);
        } else if (linked()) {
            forget();
        }
    }

    bool abort() noexcept override {
        forget();
        return detail::Claim::abort();
    }

    Borrower borrower() const noexcept { return borrower_; }

private:
    void forget() noexcept {
        limiter_.borrowers_.erase(*limiter_.borrowers_.find(borrower_));
    }

    CapacityLimiter& limiter_;
    const Borrower borrower_;
};

CapacityLimiter::CapacityLimiter(double total_tokens)
    : total_tokens_(checked_total(total_tokens)) {}

Task<> CapacityLimiter::acquire() {
    return acquire_for(Borrower());
}

Task<> CapacityLimiter::acquire_on_behalf_of(Borrower borrower) {
    check_somebody(borrower);
    return acquire_for(borrower);
}

Task<> CapacityLimiter::acquire_for(Borrower borrower) {
    Claim claim(*this, detail::this_task(), borrower);
    co_await claim;
    claim.keep();
}

Task<CapacityLimiter::Guard> CapacityLimiter::scoped() {
    Claim claim(*this, detail::this_task(), Borrower());
    co_await claim;
    claim.keep();
    co_return Guard(*this, claim.borrower());
}

void CapacityLimiter::acquire_nowait() {
    acquire_on_behalf_of_nowait(Borrower::task(detail::this_task().id()));
}

void CapacityLimiter::acquire_on_behalf_of_nowait(Borrower borrower) {
    check_somebody(borrower);
    static_cast<void>(detail::this_task());
    if (!take(borrower)) {
        throw WouldBlock("all tokens are borrowed");
    }
}

void CapacityLimiter::release() {
    release_on_behalf_of(Borrower::task(detail::this_task().id()));
}

void CapacityLimiter::release_on_behalf_of(Borrower borrower) {
    check_somebody(borrower);
    const detail::BorrowerSet::Entry* entry = borrowers_.find(borrower);
    if (entry == nullptr || entry->waits) {
        throw RuntimeError("this borrower has no token");
    }
    waiters_.check();
    give_back(borrower);
}

void CapacityLimiter::set_total_tokens(double total_tokens) {
    total_tokens = checked_total(total_tokens);
    waiters_.check();
    total_tokens_ = total_tokens;
    give_out();
}

CapacityLimiterStatistics CapacityLimiter::statistics() const {
    return {borrowed_, total_tokens_, borrowers_.holders(), waiters_.size()};
}

void CapacityLimiter::give_back(Borrower borrower) noexcept {
    detail::BorrowerSet::Entry* entry = borrowers_.find(borrower);
    if (entry != nullptr && !entry->waits && waiters_.check_for_guard()) {
        borrowers_.erase(*entry);
        --borrowed_;
        give_out();
    }
}

bool CapacityLimiter::take(Borrower borrower) {
    waiters_.check();
    if (const detail::BorrowerSet::Entry* entry = borrowers_.find(borrower)) {
        throw RuntimeError(
            entry->waits ? "this borrower waits for a token already"
                         : "this borrower has a token already"
        );
    }
    if (!has_free_token()) {
        return false;
    }
    borrowers_.insert(borrower, false);
    ++borrowed_;
    return true;
}

void CapacityLimiter::give_out() noexcept {
    while (has_free_token() && !waiters_.empty()) {
        auto& next = static_cast<Claim&>(waiters_.pop_front());
        borrowers_.find(next.borrower())->waits = false;
        ++borrowed_;
        next.serve_and_wake();
    }
}

}  // namespace concurrency

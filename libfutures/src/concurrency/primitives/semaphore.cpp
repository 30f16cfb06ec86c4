// SPDX-License-Identifier: BSL-1.0
#include "concurrency/semaphore.hpp"

#include "concurrency/errors.hpp"

#include <limits>

namespace concurrency {

class Semaphore::Claim final : public detail::Claim {
public:
    Claim(Semaphore& semaphore, detail::LoopTask& task)
        : detail::Claim(task, "Semaphore.acquire"), semaphore_(semaphore) {
        task.check_cancelled();
        if (semaphore.value_ > 0) {
            --semaphore.value_;
            serve();
        } else {
            semaphore.waiters_.check();
            semaphore.waiters_.push_back(*this);
        }
    }

    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    ~Claim() {
        if (is_served()) {
            semaphore_.put_back();
        }
    }

private:
    Semaphore& semaphore_;
};

Semaphore::Semaphore(std::int64_t initial_value, std::optional<std::int64_t> max_value)
    : value_(initial_value), max_value_(max_value) {
    if (initial_value < 0) {
        throw ValueError("initial_value must be >= 0");
    }
    if (max_value && *max_value < initial_value) {
        throw ValueError("max_value must be >= initial_value");
    }
}

Task<> Semaphore::acquire() {
    Claim claim(*this, detail::this_task());
    co_await claim;
    claim.keep();
}

Task<Semaphore::Guard> Semaphore::scoped() {
    Claim claim(*this, detail::this_task());
    co_await claim;
    claim.keep();
    co_return Guard(*this, {});
}

void Semaphore::acquire_nowait() {
    static_cast<void>(detail::this_task());
    if (value_ == 0) {
        throw WouldBlock("the semaphore has no permit left");
    }
    --value_;
}

void Semaphore::release() {
    if (value_ == max_value_.value_or(std::numeric_limits<decltype(value_)>::max())) {
        throw ValueError("the semaphore has all its permits: released too often");
    }
    waiters_.check();
    put_back();
}

void Semaphore::give_back(std::monostate) noexcept {
    // Not beyond the maximum: the guard's permit was returned by hand then.
    const bool is_missing = !max_value_ || value_ < *max_value_;
    if (is_missing && waiters_.check_for_guard()) {
        put_back();
    }
}

void Semaphore::put_back() noexcept {
    if (waiters_.empty()) {
        ++value_;
    } else {
        waiters_.pop_front().serve_and_wake();
    }
}

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
#include "concurrency/event.hpp"

#include "concurrency/checkpoint.hpp"

namespace concurrency {

namespace {

class EventClaim final : public detail::Claim {
public:
    EventClaim(detail::LoopTask& task, detail::ClaimQueue& waiters)
        : Claim(task, "Event.wait") {
        waiters.check();
        waiters.push_back(*this);
    }
};

}  // namespace

void Event::set() {
    waiters_.check();
    is_set_ = true;
    while (!waiters_.empty()) {
        waiters_.pop_front().serve_and_wake();
    }
}

Task<> Event::wait() {
    if (is_set_) {
        co_await checkpoint();
        co_return;
    }
    detail::LoopTask& task = detail::this_task();
    task.check_cancelled();
    EventClaim claim(task, waiters_);
    co_await claim;
    // The event may be destroyed by now.
}

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/idle_workers.hpp"

#include "mp/timeout.hpp"

#include <algorithm>

namespace futures::detail {

void IdleWorkers::reserve(std::size_t count) {
    const mp::detail::MutexLock lock(sleepers_mutex_);
    sleepers_.reserve(count);
}

void IdleWorkers::prepare_sleep(Sleeper& self) noexcept {
    self.woken = 0;
    {
        const mp::detail::MutexLock lock(sleepers_mutex_);
        sleepers_.push_back(&self);
        sleeping_ = sleepers_.size();
    }
    searching_.fetch_sub(1);
}

bool IdleWorkers::cancel_sleep(Sleeper& self) noexcept {
    const mp::detail::MutexLock lock(sleepers_mutex_);
    const auto at = std::find(sleepers_.begin(), sleepers_.end(), &self);
    if (at == sleepers_.end()) {
        return false;
    }
    sleepers_.erase(at);
    sleeping_ = sleepers_.size();
    return true;
}

void IdleWorkers::sleep(Sleeper& self) noexcept {
    while (self.woken.load() == 0) {
        mp::detail::futex_wait(
            self.woken, 0, mp::Deadline(mp::forever), mp::detail::FutexScope::process
        );
    }
}

void IdleWorkers::wake_one() noexcept {
    Sleeper* sleeper = nullptr;
    {
        const mp::detail::MutexLock lock(sleepers_mutex_);
        if (sleepers_.empty()) {
            return;
        }
        sleeper = sleepers_.back();
        sleepers_.pop_back();
        sleeping_ = sleepers_.size();
        searching_.fetch_add(1);
    }
    sleeper->woken = 1;
    mp::detail::futex_wake(sleeper->woken, 1, mp::detail::FutexScope::process);
}

void IdleWorkers::wake_all() noexcept {
    while (sleeping_.load() != 0) {
        wake_one();
    }
}

}  // namespace futures::detail

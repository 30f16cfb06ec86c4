// SPDX-License-Identifier: BSL-1.0
// Lock::Claim: a task that asks for a lock, or waits in a condition and is to get it
// back.
#pragma once

#include "concurrency/lock.hpp"

#include <cstdint>

namespace concurrency {

class Lock::Claim : public detail::Claim {
public:
    Claim(Lock& lock, detail::LoopTask& task, const char* what) noexcept
        : detail::Claim(task, what), lock_(lock) {}

    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    /// The lock's owner has ended: nobody will ever get it.
    void fail(std::uint64_t ended_owner) noexcept {
        ended_owner_ = ended_owner;
        task().wake();
    }

    void await_resume() const {
        detail::Claim::await_resume();
        if (ended_owner_ != 0) {
            throw_broken(ended_owner_);
        }
    }

    [[noreturn]] static void throw_broken(std::uint64_t ended_owner);

protected:
    ~Claim() {
        if (is_served()) {
            lock_.give_back(task().id());
        }
    }

    Lock& lock() const noexcept { return lock_; }

private:
    Lock& lock_;
    std::uint64_t ended_owner_ = 0;
};

/// A task that asks for the lock.
class Lock::Request final : public Lock::Claim {
public:
    /// Has the lock, or is in its queue. Throws when it cannot have it.
    Request(Lock& lock, detail::LoopTask& task) : Claim(lock, task, "Lock.acquire") {
        task.check_cancelled();
        if (!lock.locked()) {
            lock.set_owner(task);
            serve();
        } else {
            lock.check_obtainable(task);
            lock.waiters_.push_back(*this);
        }
    }
};

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
// ForkLock: a mutex for process-wide tables that a forked child goes on using. fork()
// waits for it and holds it, so the child finds the table whole and the lock free,
// whatever other threads of the parent were doing.
#pragma once

#include "mp/thread_safety.hpp"

#include <cstdint>
#include <mutex>

namespace mp::os {

/// Must never be destroyed (make it a leaked singleton). A thread that holds one does
/// not fork, wait or take another one.
class MP_CAPABILITY("mutex") ForkLock {
public:
    ForkLock();
    ForkLock(const ForkLock&) = delete;
    ForkLock& operator=(const ForkLock&) = delete;
    ~ForkLock() = default;

    void lock() MP_ACQUIRE() { mutex_.lock(); }

    void unlock() MP_RELEASE() { mutex_.unlock(); }

private:
    friend struct ForkHandlers;

    std::mutex mutex_;
    ForkLock* next_ = nullptr;
};

/// How often this process has begun to fork since it has a ForkLock. Stands still while
/// one is held.
std::uint64_t fork_count() noexcept;

class MP_SCOPED_CAPABILITY ForkLockHeld {
public:
    explicit ForkLockHeld(ForkLock& lock) MP_ACQUIRE(lock) : lock_(lock) {
        lock_.lock();
    }

    ~ForkLockHeld() MP_RELEASE() { lock_.unlock(); }

    ForkLockHeld(const ForkLockHeld&) = delete;
    ForkLockHeld& operator=(const ForkLockHeld&) = delete;

private:
    ForkLock& lock_;
};

}  // namespace mp::os

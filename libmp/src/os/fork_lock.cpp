// SPDX-License-Identifier: BSL-1.0
#include "os/fork_lock.hpp"

#include "os/check.hpp"

#include <pthread.h>

#include <atomic>

namespace mp::os {

struct ForkHandlers {
    // Two threads may fork at once: the gate makes each bracket of prepare and
    // parent/child whole, and guards `first_held`.
    std::mutex gate;
    std::atomic<ForkLock*> first = nullptr;
    ForkLock* first_held = nullptr;
    std::atomic<std::uint64_t> forks = 0;

    ForkHandlers() {
        const int error = ::pthread_atfork(
            [] { instance().prepare(); },
            [] { instance().release(); },
            [] { instance().release(); }
        );
        if (error != 0) {
            throw_error(error, "pthread_atfork");
        }
    }

    static ForkHandlers& instance() {
        static auto& handlers = *new ForkHandlers;
        return handlers;
    }

    void add(ForkLock& lock) {
        lock.next_ = first.load();
        while (!first.compare_exchange_weak(lock.next_, &lock)) {
        }
    }

    void prepare() {
        gate.lock();
        // A lock that is added from here on is not ours to release.
        first_held = first.load();
        for (ForkLock* lock = first_held; lock != nullptr; lock = lock->next_) {
            lock->mutex_.lock();
        }
        forks.fetch_add(1);
    }

    void release() {
        for (ForkLock* lock = first_held; lock != nullptr; lock = lock->next_) {
            lock->mutex_.unlock();
        }
        gate.unlock();
    }
};

ForkLock::ForkLock() {
    ForkHandlers::instance().add(*this);
}

std::uint64_t fork_count() noexcept {
    return ForkHandlers::instance().forks.load();
}

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
// HeapMutex: the lock of a heap in shared memory, for the moment of one allocation.
// Python:  none, because Python has no heap that several processes allocate from.
// Differs: nothing to differ from.
// Threads: any, of any process; the thread that locks it unlocks it. Recursive.
// Throws:  OwnerDied, for ever, once a process was killed inside: what the lock
//          protects may be half-changed. TimeoutError when one was stopped inside.
//          DamagedError when a process has written over it.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

namespace mp::detail {

class HeapMutex {
public:
    HeapMutex();
    ~HeapMutex() = default;
    HeapMutex(const HeapMutex&) = delete;
    HeapMutex& operator=(const HeapMutex&) = delete;

    void lock();

    /// lock() for what must not throw: false where that would.
    bool lock_quietly() noexcept;

    bool try_lock();
    void unlock() noexcept;

    /// Was a process killed inside?
    bool broken() const noexcept { return broken_ != 0; }

private:
    /// 0, or an errno.
    int take() noexcept;

    pthread_mutex_t mutex_;
    // In shared memory.
    std::atomic<std::uint32_t> broken_{0};
    static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
};

/// What Boost.Interprocess wants to see.
struct HeapMutexFamily {
    using mutex_type = HeapMutex;
    using recursive_mutex_type = HeapMutex;
};

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// Mutex, MutexLock, CondVar: std's, with the annotations that clang's -Wthread-safety
// checks.
// Python:  none, because Python has no compiler to tell which lock guards which field.
// Differs: nothing to differ from.
// Threads: any.  Processes: one; nothing here may live in shared memory.
#pragma once

#include "mp/detail/platform.hpp"
#include "mp/timeout.hpp"

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define MP_ANNOTATE(x) __attribute__((x))
#else
#define MP_ANNOTATE(x)
#endif
#define MP_CAPABILITY(name) MP_ANNOTATE(capability(name))
#define MP_SCOPED_CAPABILITY MP_ANNOTATE(scoped_lockable)
#define MP_GUARDED_BY(mutex) MP_ANNOTATE(guarded_by(mutex))
#define MP_REQUIRES(...) MP_ANNOTATE(requires_capability(__VA_ARGS__))
#define MP_EXCLUDES(...) MP_ANNOTATE(locks_excluded(__VA_ARGS__))
#define MP_ACQUIRE(...) MP_ANNOTATE(acquire_capability(__VA_ARGS__))
#define MP_RELEASE(...) MP_ANNOTATE(release_capability(__VA_ARGS__))
#define MP_TRY_ACQUIRE(...) MP_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define MP_NO_THREAD_SAFETY_ANALYSIS MP_ANNOTATE(no_thread_safety_analysis)

namespace mp::detail {

class MP_CAPABILITY("mutex") Mutex {
public:
    void lock() MP_ACQUIRE() { mutex_.lock(); }

    void unlock() MP_RELEASE() { mutex_.unlock(); }

    bool try_lock() MP_TRY_ACQUIRE(true) { return mutex_.try_lock(); }

private:
    friend class CondVar;
    std::mutex mutex_;
};

class MP_SCOPED_CAPABILITY MutexLock {
public:
    explicit MutexLock(Mutex& mutex) MP_ACQUIRE(mutex) : mutex_(mutex) {
        mutex_.lock();
    }

    ~MutexLock() MP_RELEASE() { mutex_.unlock(); }

    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

private:
    Mutex& mutex_;
};

class CondVar {
public:
    void wait(Mutex& mutex) MP_REQUIRES(mutex) {
        std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
        cond_.wait(held);
        held.release();
    }

    /// Returns false when the deadline passed without a notification.
    bool wait_until(Mutex& mutex, const Deadline& deadline) MP_REQUIRES(mutex) {
        std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
        bool notified = true;
        if (deadline.is_forever()) {
            cond_.wait(held);
        } else {
            notified = cond_.wait_until(held, deadline.time_point()) ==
                       std::cv_status::no_timeout;
        }
        held.release();
        return notified;
    }

    void notify_one() noexcept { cond_.notify_one(); }

    void notify_all() noexcept { cond_.notify_all(); }

private:
    std::condition_variable cond_;
};

}  // namespace mp::detail

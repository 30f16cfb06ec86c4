// SPDX-License-Identifier: BSL-1.0
// RLock: a lock that the thread which holds it may take again.
// Python:  multiprocessing.RLock.
// Differs: a holder that dies, by whatever cause, does not keep it: the next acquire()
//          gets it, once, and is told.
// Threads: any, on one handle, too. Only the thread that acquired it may release it.
// Processes: a copy of the handle in a child is the same lock. What the parent held at
//          a fork is somebody else's in the child.
// Owns:    64 bytes of shared memory.
// Throws:  OwnerDied (only the std forms), StateError; ResourceLimitExceeded.
// Read next: libmp/src/sync/owner_lock.cpp
#pragma once

#include "mp/detail/lock_base.hpp"

#include <string>

namespace mp {

class RLock : public detail::LockBase<detail::LockKind::recursive> {
public:
    /// A new lock, free.
    RLock() = default;

    explicit RLock(detail::Decoding decoding) noexcept : LockBase(decoding) {}

    /// `AcquireResult acquire(Timeout timeout = forever)`:
    /// Blocks until the calling thread holds it, at most for the timeout; with 0 it
    /// does not block. A thread that holds it already holds it once more. The result
    /// says whether it did, and whether a holder died. A stopped holder is not dead:
    /// that ends with the timeout.
    using LockBase::acquire;

    /// `void release()`:
    /// Throws StateError (Python: AssertionError) unless the calling thread holds it.
    using LockBase::release;

    /// `bool locked() const`:
    /// Held by a living process, this one included.
    using LockBase::locked;

    /// `void lock()`, `void unlock()`, `bool try_lock()`:
    /// For std: acquire() without a result. Throws OwnerDied, not holding the lock,
    /// until a result of acquire() was asked for owner_died(). unlock() after lock()
    /// throws nothing: that a process has written over the lock is logged.
    using LockBase::lock;
    using LockBase::try_lock;
    using LockBase::unlock;

    /// The same lock?
    friend bool operator==(const RLock&, const RLock&) noexcept = default;

    /// As Python's repr(): "<RLock(owner=None, count=0)>".
    friend std::string to_string(const RLock& lock);

    using LockBase::serialize;

private:
    friend class Condition;
};

std::string to_string(const RLock& lock);

}  // namespace mp

// SPDX-License-Identifier: BSL-1.0
// Lock: one holder at a time, in whatever process.
// Python:  multiprocessing.Lock.
// Differs: a holder that dies, by whatever cause, does not keep it: the next acquire()
//          gets it and is told. Also lockable by std::scoped_lock and std::unique_lock.
// Threads: any, on one handle, too. The one that releases need not be the one that
//          acquired.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same lock. Elsewhere it does not travel: StateError.
// Owns:    64 bytes of shared memory.
// Throws:  OwnerDied (only the std forms), std::invalid_argument, StateError;
//          ResourceLimitExceeded when memory or the 1024 places for processes are used
//          up.
// Read next: docs/protocols/lock.md, libmp/src/sync/owner_lock.cpp
#pragma once

#include "mp/detail/lock_base.hpp"

#include <string>

namespace mp {

class Lock : public detail::LockBase<detail::LockKind::plain> {
public:
    /// A new lock, free.
    Lock() = default;

    explicit Lock(detail::Decoding decoding) noexcept : LockBase(decoding) {}

    /// `AcquireResult acquire(Timeout timeout = forever)`:
    /// Blocks until the lock is free or its holder dead, at most for the timeout; with
    /// 0 it does not block. The result says whether the lock was got, and whether a
    /// holder died. A stopped holder is not dead: that ends with the timeout.
    using LockBase::acquire;

    /// `void release()`:
    /// By anybody. Throws std::invalid_argument when nobody holds it.
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
    friend bool operator==(const Lock&, const Lock&) noexcept = default;

    /// As Python's repr(): "<Lock(owner=None)>".
    friend std::string to_string(const Lock& lock);

    using LockBase::serialize;

private:
    friend class Condition;
};

std::string to_string(const Lock& lock);

}  // namespace mp

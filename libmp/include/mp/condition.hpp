// SPDX-License-Identifier: BSL-1.0
// Condition: processes wait, with a lock, for something that others say has changed.
// Python:  multiprocessing.Condition.
// Differs: a notice for a process that dies goes to another one; when a process dies
//          holding the lock, all that wait wake and look. So wait() may return true for
//          no reason, rarely. notify() does not wait for those it wakes. At most 1024
//          wait at once.
// Threads: any, on one handle, too.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same condition. Elsewhere it does not travel: StateError.
// Owns:    8 KiB of shared memory, and a handle of the lock.
// Throws:  StateError (Python: AssertionError) without the lock; ResourceLimitExceeded.
// Read next: docs/protocols/condition.md, libmp/src/sync/waiter_slots.cpp
#pragma once

#include "mp/acquire_result.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/lock.hpp"
#include "mp/rlock.hpp"
#include "mp/timeout.hpp"

#include <utility>

namespace mp {

class Condition {
public:
    /// With an RLock of its own.
    Condition() : Condition(RLock()) {}

    /// With this lock, which other conditions may use, too.
    explicit Condition(const RLock& lock);
    explicit Condition(const Lock& lock);

    explicit Condition(detail::Decoding) noexcept {}

    /// The lock's own. A thread that gets the lock of a dead process wakes all that
    /// wait: what the dead one would have told them, no other can.
    AcquireResult acquire(Timeout timeout = forever);
    /// The lock's own. Throws as its release().
    void release();
    void lock();
    void unlock();
    bool try_lock();

    /// Releases the lock, however often it was acquired, blocks until notified, at most
    /// for the timeout, and takes the lock again as often, however long that takes.
    /// Returns whether it was notified. A report of a dead owner is left to acquire().
    bool wait(Timeout timeout = forever);

    /// Waits until `predicate()`, which is called with the lock held. Returns its last
    /// result. One timeout for all of it.
    template <class Predicate>
    bool wait_for(Predicate predicate, Timeout timeout = forever) {
        const Deadline deadline(timeout);
        while (!predicate()) {
            if (!wait(deadline.remaining())) {
                return static_cast<bool>(predicate());
            }
        }
        return true;
    }

    /// Wakes `count` of those that wait now, those first that have waited longest.
    /// Never blocks.
    void notify(int count = 1);
    /// Wakes all that wait now. Never blocks.
    void notify_all();

    /// How many wait and have not been notified. C++ only.
    int waiting() const;

    /// The same condition?
    friend bool operator==(const Condition& a, const Condition& b) noexcept {
        return a.slots_ == b.slots_;
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        lock_.travel(archive, "a Condition");
        slots_.travel(archive, "a Condition");
        archive& recursive_;
    }

private:
    Condition(detail::SharedBlock lock, bool recursive);
    detail::HeldLock& owned_lock(const char* what) const;

    detail::SharedBlock lock_;
    detail::SharedBlock slots_;
    bool recursive_ = false;
};

}  // namespace mp

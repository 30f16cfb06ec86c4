// SPDX-License-Identifier: BSL-1.0
// RLock: a lock that the thread which holds it may take again.
// Python:  multiprocessing.RLock.
// Differs: a holder that dies, by whatever cause, does not keep it: the next acquire()
//          gets it, once, and is told.
// Threads: any, on one handle, too. Only the thread that acquired it may release it.
// Processes: a copy of the handle in a child is the same lock. What the parent held at
// a
//          fork is somebody else's in the child.
// Owns:    64 bytes of shared memory.
// Throws:  OwnerDied (only the std forms), StateError; ResourceLimitExceeded.
// Read next: src/owner_lock.cpp
#pragma once

#include "mp/acquire_result.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/timeout.hpp"

#include <string>

namespace mp {

class RLock {
public:
    /// A new lock, free.
    RLock();

    explicit RLock(detail::Decoding) noexcept {}

    /// Blocks until the calling thread holds it, at most for the timeout; with 0 it
    /// does not block. Who holds it already, holds it once more. The result says
    /// whether it did, and whether a holder died. A stopped holder is not dead: that
    /// ends with the timeout.
    AcquireResult acquire(Timeout timeout = forever);

    /// Throws StateError (Python: AssertionError) unless the calling thread holds it.
    void release();

    /// Held by a living process, this one included.
    bool locked() const;

    /// For std: acquire() without a result. Throws OwnerDied, not holding the lock,
    /// until a result of acquire() was asked for owner_died().
    void lock();
    void unlock() { release(); }
    bool try_lock();

    /// The same lock?
    friend bool operator==(const RLock&, const RLock&) noexcept = default;

    /// As Python's repr(): "<RLock(owner=None, count=0)>".
    friend std::string to_string(const RLock& lock);

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "an RLock");
    }

private:
    friend class Condition;

    detail::SharedBlock block_;
};

std::string to_string(const RLock& lock);

}  // namespace mp

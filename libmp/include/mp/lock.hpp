// SPDX-License-Identifier: BSL-1.0
// Lock: one holder at a time, in whatever process.
// Python:  multiprocessing.Lock.
// Differs: a holder that dies, by whatever cause, does not keep it: the next acquire()
//          gets it and is told. Also lockable by std::scoped_lock and std::unique_lock.
// Threads: any, on one handle, too. Whoever releases need not be who acquired.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same lock. Elsewhere it does not travel: StateError.
// Owns:    64 bytes of shared memory.
// Throws:  OwnerDied (only the std forms), std::invalid_argument, StateError;
//          ResourceLimitExceeded when memory or the 1024 places for processes are used
//          up.
// Read next: docs/protocols/lock.md, src/owner_lock.cpp
#pragma once

#include "mp/acquire_result.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/timeout.hpp"

#include <string>

namespace mp {

class Lock {
public:
    /// A new lock, free.
    Lock();

    explicit Lock(detail::Decoding) noexcept {}

    /// Blocks until the lock is free or its holder dead, at most for the timeout; with
    /// 0 it does not block. The result says whether the lock was got, and whether a
    /// holder died. A stopped holder is not dead: that ends with the timeout.
    AcquireResult acquire(Timeout timeout = forever);

    /// By anybody. Throws std::invalid_argument when nobody holds it.
    void release();

    /// Held by a living process, this one included.
    bool locked() const;

    /// For std: acquire() without a result. Throws OwnerDied, not holding the lock,
    /// until a result of acquire() was asked for owner_died().
    void lock();
    void unlock() { release(); }
    bool try_lock();

    /// The same lock?
    friend bool operator==(const Lock&, const Lock&) noexcept = default;

    /// As Python's repr(): "<Lock(owner=None)>".
    friend std::string to_string(const Lock& lock);

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "a Lock");
    }

private:
    friend class Condition;

    detail::SharedBlock block_;
};

std::string to_string(const Lock& lock);

}  // namespace mp

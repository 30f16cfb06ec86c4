// SPDX-License-Identifier: BSL-1.0
// LockBase: what Lock and RLock have in common, which is all but what they print.
// Python:  multiprocessing.synchronize.SemLock, the base class of its locks.
// Differs: nothing else is made of it.
// Threads: any, on one handle, too.
// Processes: all that have a handle.
// Owns:    64 bytes of shared memory.
#pragma once

#include "mp/acquire_result.hpp"
#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/timeout.hpp"

#include <string>

namespace mp::detail {

/// Whether the thread that holds a lock may take it again.
enum class LockKind : bool { plain, recursive };

/// The contract of each member is in mp/lock.hpp and mp/rlock.hpp.
template <LockKind kind>
class LockBase {
public:
    AcquireResult acquire(Timeout timeout = forever);
    void release();
    bool locked() const;

    void lock();
    void unlock();
    bool try_lock();

    friend bool operator==(const LockBase&, const LockBase&) noexcept = default;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, name);
    }

protected:
    LockBase();

    explicit LockBase(Decoding) noexcept {}

    /// Throws StateError when the handle was moved from.
    HeldLock& state() const;

    /// The holder, as Python's repr() says it.
    std::string owner_text() const;

    static constexpr const char* name =
        kind == LockKind::recursive ? "an RLock" : "a Lock";

    SharedBlock block_;
};

extern template class LockBase<LockKind::plain>;
extern template class LockBase<LockKind::recursive>;

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// queue_lock: how long a thread waits for one of a queue's locks, and how it gives the
// lock back.
#pragma once

#include "mp/timeout.hpp"

#include "sync/owner_lock.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

namespace mp::detail {

/// A queue's lock is held for the copy of one item: so long waits for it even a thread
/// that does not want to wait for an item.
inline constexpr Timeout lock_grace(std::chrono::milliseconds(20));

/// How long to wait for the lock when the caller waits so long for an item.
inline Timeout lock_timeout(Timeout timeout) noexcept {
    return timeout.duration() < lock_grace.duration() ? lock_grace : timeout;
}

/// A lock that its maker has acquired: releases it at the end of a scope, or earlier.
/// `holder`, in memory of this process alone, says `me` meanwhile.
class HeldQueueLock {
public:
    HeldQueueLock(
        OwnerLock& lock, std::atomic<ProcessTable::Id>& holder, ProcessTable::Id me
    ) noexcept
        : lock_(&lock), holder_(&holder), me_(me) {
        // order: relaxed, who reads it looks again and again, for seconds.
        holder.store(me, std::memory_order_relaxed);
    }

    HeldQueueLock(const HeldQueueLock&) = delete;
    HeldQueueLock& operator=(const HeldQueueLock&) = delete;

    ~HeldQueueLock() { release(); }

    /// The id of this process.
    ProcessTable::Id holder() const noexcept { return me_; }

    void release() noexcept {
        if (lock_ != nullptr) {
            // order: relaxed, as above. Before the next holder sets it.
            holder_->store(0, std::memory_order_relaxed);
            std::exchange(lock_, nullptr)->release();
        }
    }

private:
    OwnerLock* lock_;
    std::atomic<ProcessTable::Id>* holder_;
    ProcessTable::Id me_;
};

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// For poll(): the queue's descriptor, an eventfd, which is readable while there is
// something to get, or by mistake. Nothing here happens before a process asks for it.
#include "mp/detail/queue_core.hpp"

#include "os/failpoint.hpp"
#include "queue/queue_checks.hpp"
#include "queue/queue_layout.hpp"
#include "queue/queue_lock.hpp"

#include <atomic>

namespace mp::detail {

int QueueCore::fileno() {
    check_open();
    if (!is_watched()) {
        // First the ring: a producer that puts meanwhile does not know yet that it is
        // watched.
        event_.ring();
        control().watched.store(code(static_cast<std::uint32_t>(QueueWord::watched)));
        calm_if_empty();
    }
    return event_.fileno();
}

/// Makes the descriptor unreadable, with put_lock: so no producer is between the ring
/// and the commit, and an item that counts never stands behind a descriptor that was
/// reset, whichever process dies when. Readable for nothing is allowed: a thread that
/// does not get the lock within its grace leaves it so, and a loop around poll() goes
/// round once in that time.
void QueueCore::calm_if_empty() const noexcept {
    QueueControl& shared = control();
    try {
        if (has_items() ||
            shared.put_lock.acquire(processes(), lock_grace) == Taken::no) {
            return;
        }
    } catch (const std::exception&) {
        return;  // This process has no place among the others: it leaves it readable.
    }
    const HeldQueueLock held(shared.put_lock, put_holder_, processes().self());
    MP_FAILPOINT("get: before the calm");
    if (has_items() || !is_open()) {
        return;
    }
    event_.take();
    // order: seq_cst, as the store in shutdown(), which is before its ring: either that
    // comes after our reset, or we see here that the queue is shut.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!is_open()) {
        event_.ring();
    }
}

}  // namespace mp::detail

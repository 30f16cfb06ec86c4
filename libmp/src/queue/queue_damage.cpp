// SPDX-License-Identifier: BSL-1.0
// What is checked before it is used, and what follows when it cannot be: a queue whose
// memory another process has written over is damaged, for all, at once. See
// docs/protocols/queue.md.
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "queue/queue_checks.hpp"
#include "queue/queue_layout.hpp"

#include <atomic>
#include <string>

namespace mp::detail {

namespace {

/// So many looks, a slice apart, must find a lock that this process has and none of its
/// threads: no thread stands between two instructions for so long while another runs.
constexpr int looks_of_nobody = 5;

}  // namespace

// ---- telling

void QueueCore::mark_damaged() const noexcept {
    QueueControl& shared = control();
    damaged_.store(true);
    shared.shut.store(code(static_cast<std::uint32_t>(QueueWord::damaged)));
    shared.producers.wake_all();
    shared.consumers.wake_all();
    if (geometry_.joinable) {
        shared.joiners.wake_all();
    }
    event_.ring();
}

void QueueCore::throw_damaged(const char* what) const {
    mark_damaged();
    throw DamagedError(
        std::string("the queue is damaged: a process has written over ") + what
    );
}

void QueueCore::throw_not_open() const {
    check_undamaged();
    throw ShutDown();
}

bool QueueCore::is_damaged() const noexcept {
    return damaged_.load() ||
           shut_state() == static_cast<QueueShut>(QueueWord::damaged);
}

void QueueCore::check_undamaged() const {
    if (is_damaged()) [[unlikely]] {
        throw_damaged("its memory");
    }
}

// ---- words with few values

/// What a word says in this queue: never 0 or all ones, as memory that was overwritten
/// is, but by a chance of one in thousands of millions.
std::uint32_t QueueCore::code(std::uint32_t word) const noexcept {
    return static_cast<std::uint32_t>(seal::of(geometry_.key, 1 + word) >> 32U);
}

QueueShut QueueCore::shut_state() const noexcept {
    const std::uint32_t word = control().shut.load();
    for (const QueueShut state :
         {QueueShut::no, QueueShut::to_producers, QueueShut::to_all}) {
        if (word == code(static_cast<std::uint32_t>(state))) {
            return state;
        }
    }
    return static_cast<QueueShut>(QueueWord::damaged);
}

void QueueCore::check_watched() const {
    if (control().watched.load() !=
        code(static_cast<std::uint32_t>(QueueWord::watched))) {
        throw_damaged("its control words");
    }
}

// ---- counts

/// No item takes less than its header.
std::uint64_t QueueCore::most_items() const noexcept {
    return geometry_.max_items != 0
               ? geometry_.max_items
               : geometry_.max_chunks * (chunk_bytes / sizeof(ItemHeader));
}

/// How many items there are. Without a lock, so both counts may move meanwhile: only
/// what cannot be, whoever is killed where, is damage.
std::uint64_t QueueCore::check_counts() const {
    check_undamaged();
    const QueueControl& shared = control();
    // order: acquire, both before the looks at the counts themselves.
    const std::uint64_t least_put = last_put_.load(std::memory_order_acquire);
    // order: acquire, as above.
    const std::uint64_t least_taken = last_taken_.load(std::memory_order_acquire);
    // order: acquire, pairs with get's commit, and comes before the look at put_count:
    // a consumer never takes more than it saw there.
    const std::uint64_t taken = shared.get_count.load(std::memory_order_acquire);
    const GetEnd& end = shared.get_ends[taken % 2];
    // order: relaxed, the fence keeps all three before the second look at the count.
    const GetPlace place{
        end.chunk.load(std::memory_order_relaxed),
        end.offset.load(std::memory_order_relaxed)};
    // order: relaxed, as above.
    const std::uint64_t get_seal = end.seal.load(std::memory_order_relaxed);
    // order: acquire, as in first_chunk_in_use().
    std::atomic_thread_fence(std::memory_order_acquire);
    // order: relaxed, the fence keeps it behind the entry.
    if (shared.get_count.load(std::memory_order_relaxed) == taken &&
        get_seal != place.right_seal(geometry_.key, taken)) {
        throw_damaged("the count of the items taken");
    }
    // order: acquire, pairs with put's commit: its seal was written before.
    const std::uint64_t put = shared.put_count.load(std::memory_order_acquire);
    // order: relaxed, the fence keeps it before the second look at the count.
    const std::uint64_t put_seal =
        shared.put_seals[put % 2].load(std::memory_order_relaxed);
    // order: acquire, pairs with the release of the seal: who sees that of the count
    // after the next one sees the next one.
    std::atomic_thread_fence(std::memory_order_acquire);
    // order: relaxed, the fence keeps it behind the seal.
    if (shared.put_count.load(std::memory_order_relaxed) == put &&
        put_seal != seal::of(geometry_.key, put)) {
        throw_damaged("the count of the items put");
    }
    if (put < least_put || taken < least_taken) {
        throw_damaged("its counts");
    }
    const std::uint64_t most = most_items();
    if (put - taken <= most) {
        return put - taken;
    }
    // Some were taken, and others put in their place, between the two looks; or this is
    // no count at all.
    const std::uint64_t later = shared.get_count.load();
    if (put < taken || (put > later && put - later > most)) {
        throw_damaged("its counts");
    }
    return most;
}

// ---- the end of the producers, and locks

/// What a put does not always need of the end: whoever does checks it first.
void QueueCore::check_rest(const PutEnd& end) const {
    const std::uint64_t area = geometry_.large_bytes;
    const bool in_bounds =
        end.recycled <= end.chunk && end.retired < end.fresh &&
        end.fresh <= geometry_.max_chunks &&
        // Each chunk is in use, free, or given back.
        end.chunk - end.recycled + 1 + end.retired == end.fresh &&
        end.large_head < area && end.large_tail <= area && end.large_touched <= area &&
        end.large_head % large_alignment == 0 && end.large_tail % large_alignment == 0;
    if (!in_bounds || end.rest_seal != end.right_rest_seal(geometry_.key)) {
        throw_damaged("the end where items are put");
    }
}

/// For who has time. False when the time is over. A lock may be this process's and no
/// thread's of it: so says a word that was overwritten, and, for an instant, one whose
/// holder has just taken it or is about to release it. So it must say so for long.
bool QueueCore::lock_slowly(
    OwnerLock& lock,
    const std::atomic<std::uint32_t>& holder,
    Timeout timeout,
    const std::atomic<std::uint64_t>* done
) const {
    const Deadline deadline(timeout);
    int looks = 0;
    for (Timeout slice = lock_slice;; slice = deadline.sooner(lock_slice).remaining()) {
        if (lock.acquire(processes(), slice, DeadOwner::take, done) != Taken::no) {
            return true;
        }
        check_counts();
        const ProcessTable::Id me = processes().self();
        // order: relaxed, of many looks one sees it.
        looks = lock.owner() == me && holder.load(std::memory_order_relaxed) != me
                    ? looks + 1
                    : 0;
        if (looks == looks_of_nobody) {
            throw_damaged("one of its locks");
        }
        if (deadline.expired()) {
            return false;
        }
    }
}

}  // namespace mp::detail

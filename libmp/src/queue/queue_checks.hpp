// SPDX-License-Identifier: BSL-1.0
// queue_checks: what every put and every get checks, in line. What is rarer, and what
// follows when a check fails, is in queue_damage.cpp.
#pragma once

#include "mp/detail/queue_core.hpp"

#include "memory/process_table.hpp"
#include "queue/queue_layout.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mp::detail {

/// How long a thread waits for a lock before it looks whether the queue is damaged: the
/// word of a lock may name a process that never had it.
inline constexpr Timeout lock_slice(std::chrono::seconds(1));

inline std::uint64_t QueueCore::longest_item() const noexcept {
    return geometry_.large_bytes - large_header_bytes;
}

inline bool QueueCore::is_open() const noexcept {
    // order: relaxed, a producer or consumer that misses it is one that came before.
    return control().shut.load(std::memory_order_relaxed) == open_;
}

inline bool QueueCore::has_items() const noexcept {
    // order: relaxed. It only grows, so an old one says "something" once too often;
    // under get_lock it is the last one.
    const std::uint64_t taken = control().get_count.load(std::memory_order_relaxed);
    // order: acquire, pairs with the store in sees_more_than(), and with put's commit
    // through the thread that stored what it saw.
    if (seen_put_.load(std::memory_order_acquire) <= taken && !sees_more_than(taken)) {
        return false;
    }
    // order: relaxed, a consumer that misses it is one that came before.
    const std::uint32_t shut = control().shut.load(std::memory_order_relaxed);
    return shut == open_ ||
           shut == code(static_cast<std::uint32_t>(QueueShut::to_producers));
}

/// Whether a queue that is empty now has memory to give back.
inline bool QueueCore::is_worth_a_trim() const noexcept {
    // order: relaxed, a hint; the trim itself looks with put_lock.
    const std::uint64_t all = control().touched.load(std::memory_order_relaxed);
    const std::uint64_t threshold = geometry_.trim_threshold;
    return all > threshold && all - threshold > trim_slack;
}

inline bool QueueCore::is_watched() const noexcept {
    // order: relaxed. To a producer it comes with put_lock, from the thread that could
    // reset the descriptor before (see calm_if_empty()); in shutdown() a fence of
    // wake_all() stands between the store of `shut` and this; a consumer that misses it
    // leaves the descriptor readable, which is allowed.
    return control().watched.load(std::memory_order_relaxed) != unwatched_;
}

/// For the holder of the count's lock. One that was put back by one looks like that of
/// a process that was killed before its commit: only this process knows what it has
/// done.
inline void QueueCore::check_forward(
    std::uint64_t count, const std::atomic<std::uint64_t>& last
) const {
    // order: relaxed, the lock orders it.
    if (count < last.load(std::memory_order_relaxed)) [[unlikely]] {
        throw_damaged("its counts");
    }
}

/// For the holder of put_lock: what counts, in memory that nobody else can change. The
/// place is checked; see check_rest().
inline PutEnd QueueCore::checked_put_end() const {
    QueueControl& shared = control();
    PutEnd end = shared.valid_put_end();
    // The copy is made here, once: nothing is read again.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (end.place_seal !=
            end.right_place_seal(geometry_.key, shared.put_turn_number()) ||
        end.offset > chunk_bytes || end.offset % item_alignment != 0) [[unlikely]] {
        throw_damaged("the end where items are put");
    }
    return end;
}

/// Writes an end that will count when put_turn_number() is `turn`. Requires: the seal
/// of the rest is right.
inline void
QueueCore::write_put_end(std::uint64_t turn, const PutEnd& end) const noexcept {
    PutEnd& next = control().other_put_end();
    // Word by word: what was changed just now is not yet where a wider load looks.
    next.chunk = end.chunk;
    next.offset = end.offset;
    next.place_seal = end.right_place_seal(geometry_.key, turn);
    next.recycled = end.recycled;
    next.retired = end.retired;
    next.fresh = end.fresh;
    next.large_head = end.large_head;
    next.large_tail = end.large_tail;
    next.large_touched = end.large_touched;
    next.rest_seal = end.rest_seal;
}

inline void QueueCore::seal_rest(PutEnd& end) const noexcept {
    end.rest_seal = end.right_rest_seal(geometry_.key);
}

/// For the holder of get_lock.
inline GetPlace QueueCore::checked_get_end(std::uint64_t count) const {
    const GetEnd& end = control().get_ends[count % 2];
    // order: relaxed, get_lock orders it: the last holder wrote it.
    const GetPlace place{
        end.chunk.load(std::memory_order_relaxed),
        end.offset.load(std::memory_order_relaxed)};
    // order: relaxed, as above.
    if (end.seal.load(std::memory_order_relaxed) !=
            place.right_seal(geometry_.key, count) ||
        place.offset > chunk_bytes || place.offset % item_alignment != 0) [[unlikely]] {
        throw_damaged("the end where items are taken");
    }
    return place;
}

/// Before a commit: a lock whose word was overwritten may have a second holder.
inline void QueueCore::check_owned(const OwnerLock& lock, std::uint32_t holder) const {
    if (lock.owner() != holder) [[unlikely]] {
        throw_damaged("one of its locks");
    }
}

/// False when the time is over.
inline bool QueueCore::lock(
    OwnerLock& lock,
    const std::atomic<std::uint32_t>& holder,
    Timeout timeout,
    const std::atomic<std::uint64_t>* done
) const {
    if (timeout.duration() <= lock_slice.duration()) [[likely]] {
        return lock.acquire(processes(), timeout, DeadOwner::take, done) != Taken::no;
    }
    return lock_slowly(lock, holder, timeout, done);
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// Memory of an empty queue goes back to the system: by the consumer that emptied it, or
// one that finds it empty and is about to wait. See docs/protocols/queue.md.
#include "mp/detail/queue_core.hpp"

#include "os/failpoint.hpp"
#include "queue/queue_checks.hpp"
#include "queue/queue_layout.hpp"
#include "queue/queue_lock.hpp"

#include <algorithm>
#include <atomic>

namespace mp::detail {
namespace {

/// What is given back with the lock held, before producers get their turn.
constexpr std::uint64_t bytes_in_a_step = 16UL << 20U;

// Half of what may stay is for each kind of items.
constexpr std::uint64_t kept_chunks(std::uint64_t threshold) {
    return threshold / 2 / chunk_bytes;
}

}  // namespace

/// Requires: put_lock, or nothing of `end` counts yet. Too much if it never counts; the
/// next trim corrects that.
void QueueCore::note_touched(const PutEnd& end) const noexcept {
    // order: relaxed, a hint; see is_worth_a_trim().
    control().touched.store(
        (end.fresh - end.retired) * chunk_bytes + end.large_touched,
        std::memory_order_relaxed
    );
}

void QueueCore::trim() noexcept {
    QueueControl& shared = control();
    try {
        // Also what was shut: its consumers may have taken all that was there.
        while (!has_items() && !is_damaged() &&
               lock(shared.put_lock, put_holder_, lock_grace, nullptr)) {
            const HeldQueueLock held(shared.put_lock, put_holder_, processes().self());
            MP_FAILPOINT("trim: locked");
            if (!trim_step()) {
                return;
            }
        }
    } catch (const std::exception&) {
        // The queue is damaged, which the next thread that uses it is told, or it has
        // no memory to say so.
    }
}

/// With put_lock. Returns whether there may be more to give back.
bool QueueCore::trim_step() {
    QueueControl& shared = control();
    // order: relaxed, only the holder of the lock changes it.
    const std::uint64_t number = shared.put_count.load(std::memory_order_relaxed);
    // order: acquire, pairs with get's commit: chunks that were read are free.
    if (shared.get_count.load(std::memory_order_acquire) != number) {
        return false;
    }
    PutEnd end = checked_put_end();
    check_rest(end);
    reclaim(end);
    punch_chunks(end);
    count_trim(end);
    MP_FAILPOINT("trim: committed");
    // Only now, when nobody goes over those blocks again.
    const bool more_large = punch_large(end, geometry_.trim_threshold / 2);
    note_touched(end);
    return more_large || first_chunk_in_use(end) - end.recycled >
                             kept_chunks(geometry_.trim_threshold);
}

/// The commit of an end that no item comes with. Requires: put_lock.
void QueueCore::count_trim(PutEnd& end) const {
    QueueControl& shared = control();
    seal_rest(end);
    write_put_end(shared.put_turn_number() + (std::uint64_t{1} << 32U), end);
    MP_FAILPOINT("trim: before the commit");
    check_owned(shared.put_lock, processes().self());
    // order: relaxed, only the holder of the lock changes it.
    const std::uint64_t trims = shared.trims.load(std::memory_order_relaxed);
    // order: release, as put's commit; the next holder of the lock sees it anyway.
    shared.trims.store(trims + 1, std::memory_order_release);
}

/// Free chunks have nothing in them that anybody reads, so their memory may go before
/// it counts that it went.
void QueueCore::punch_chunks(PutEnd& end) {
    const std::uint64_t kept = kept_chunks(geometry_.trim_threshold);
    const std::uint64_t in_use = first_chunk_in_use(end);
    const std::uint64_t most = bytes_in_a_step / chunk_bytes;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    const auto punch = [&] {
        if (count > 0) {
            data_.punch_hole(offset_of_chunk(first), count * chunk_bytes);
            MP_FAILPOINT("trim: chunks given back");
        }
        count = 0;
    };
    for (std::uint64_t i = 0; i < most && in_use - end.recycled > kept; ++i) {
        const std::uint32_t id = chunk_in_order(end.recycled++);
        if (count == 0 || id != first + count) {
            punch();
            first = id;
        }
        ++count;
        retire_chunk(end, id);
    }
    punch();
}

/// For an end that counts: memory of the area behind its last block, above `kept`, from
/// the back. Returns whether there is more.
bool QueueCore::punch_large(PutEnd& end, std::uint64_t kept) noexcept {
    if (end.large_tail < end.large_head) {
        return false;  // the blocks go round the end of the area
    }
    const std::uint64_t from = std::max(kept, end.large_tail);
    if (end.large_touched <= from) {
        return false;
    }
    const std::uint64_t size = std::min(end.large_touched - from, bytes_in_a_step);
    const auto area = static_cast<std::size_t>(&large_area() - data_.data());
    data_.punch_hole(area + end.large_touched - size, size);
    MP_FAILPOINT("trim: area given back");
    // One word, behind the hole: killed in between, the next one makes it again.
    end.large_touched -= size;
    control().valid_put_end().large_touched = end.large_touched;
    note_touched(end);
    return end.large_touched > from;
}

/// For an end that counts: what the readers of a long backlog have left behind its
/// first block, in pieces of some size. It counts as touched until the area is empty.
void QueueCore::punch_behind(const PutEnd& end, std::uint64_t head_before) noexcept {
    std::uint64_t from = head_before - head_before % kept_large_bytes;
    if (end.large_tail < end.large_head) {
        from = std::max(from, end.large_tail);  // the latest blocks stand before it
    }
    const std::uint64_t to = end.large_head - end.large_head % kept_large_bytes;
    if (from < to) {
        const auto area = static_cast<std::size_t>(&large_area() - data_.data());
        data_.punch_hole(area + from, to - from);
        MP_FAILPOINT("trim: front given back");
    }
}

}  // namespace mp::detail

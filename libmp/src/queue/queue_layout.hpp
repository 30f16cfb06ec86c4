// SPDX-License-Identifier: BSL-1.0
// queue_layout: what the processes of one queue see. See docs/protocols/queue.md.
#pragma once

#include "queue/sleepers.hpp"
#include "sync/owner_lock.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mp::detail {

/// Where the next item is put. A producer writes the other one of two, then commits.
struct alignas(64) PutEnd {
    std::uint64_t chunk;     ///< number of the chunk, from the first on
    std::uint64_t offset;    ///< in that chunk
    std::uint64_t recycled;  ///< chunks before this number are in use again, or retired
    std::uint64_t retired;   ///< chunks whose memory went back to the system
    std::uint64_t fresh;     ///< chunks that were ever used
    std::uint64_t large_head;
    std::uint64_t large_tail;
    std::uint64_t large_touched;  ///< memory beyond this was never used, or went back
};

/// Where the next item is taken from.
struct alignas(16) GetEnd {
    std::atomic<std::uint64_t> chunk;  ///< producers read it, too
    std::uint64_t offset;
};

/// What an empty queue may keep beyond its threshold: the chunk that is in use, and so
/// much that a trim is worth its while.
inline constexpr std::uint64_t trim_slack = 512UL << 10U;

enum class QueueShut : std::uint32_t { no, to_producers, to_all };

/// In a SharedBlock, so zeroed at first.
struct QueueControl {
    // Set once, by the maker.
    std::uint64_t max_items;    ///< 0: no bound
    std::uint64_t max_chunks;   ///< a power of two
    std::uint64_t first_chunk;  ///< where it stands in the segment
    std::uint64_t large_bytes;  ///< size of the area for large items
    std::uint64_t type_tag;
    std::uint64_t joinable;
    std::uint64_t trim_threshold;  ///< free bytes that an empty queue keeps
    std::uint64_t shrunk;          ///< limits left less room than was asked for

    // Guarded by put_lock.
    alignas(64) OwnerLock put_lock;
    std::atomic<std::uint64_t> trims;  ///< a trim's commit
    std::array<PutEnd, 2> put_ends;
    alignas(64) std::atomic<std::uint64_t> put_count;  ///< items ever put: the commit

    // Guarded by get_lock; in the same way.
    alignas(64) OwnerLock get_lock;
    std::array<GetEnd, 2> get_ends;
    alignas(64) std::atomic<std::uint64_t> get_count;  ///< items ever taken

    alignas(64) std::atomic<std::uint64_t> large_read;  ///< large items done with

    alignas(64) std::atomic<QueueShut> shut;
    std::atomic<std::uint32_t> watched;  ///< a process asked for the descriptor
    /// Memory that the items took and did not give back, in use or not: a guess that is
    /// never too low. Written with put_lock, and rarely.
    std::atomic<std::uint64_t> touched;

    Sleepers consumers;
    Sleepers producers;

    // For JoinableQueue.
    alignas(64) OwnerLock done_lock;
    std::atomic<std::uint32_t> deaths;  ///< of consumers, that no join() has told
    Sleepers joiners;
    std::atomic<std::uint32_t> accounts_used;
    /// What each process has taken and not reported done: its id, and how many, signed:
    /// another may report. One word, so one operation changes both.
    std::array<std::atomic<std::uint64_t>, ProcessTable::capacity> accounts;

    /// Which of the two counts. Requires: put_lock.
    std::size_t put_turn() const noexcept {
        // order: relaxed, only the holder of the lock changes these two.
        return (put_count.load(std::memory_order_relaxed) +
                trims.load(std::memory_order_relaxed)) %
               2;
    }

    /// What committed items need. Requires: put_lock.
    PutEnd& valid_put_end() noexcept { return put_ends.at(put_turn()); }

    /// What becomes valid with the next commit. Requires: put_lock.
    PutEnd& other_put_end() noexcept { return put_ends.at(1 - put_turn()); }

    /// Whether a queue that is empty now has memory to give back.
    bool is_worth_a_trim() const noexcept {
        // order: relaxed, a hint; the trim itself looks with put_lock.
        const std::uint64_t all = touched.load(std::memory_order_relaxed);
        return all > trim_threshold && all - trim_threshold > trim_slack;
    }

    bool is_watched() const noexcept {
        // order: relaxed. To a producer it comes with put_lock, from the thread that
        // could reset the descriptor before (see QueueCore::calm_if_empty()); in
        // shutdown() a fence of wake_all() stands between the store of `shut` and this;
        // a consumer that misses it leaves the descriptor readable, which is allowed.
        return watched.load(std::memory_order_relaxed) != 0;
    }
};

/// Before each item in a chunk.
struct ItemHeader {
    enum class Kind : std::uint32_t { item = 1, large, chunk_ends };

    std::uint64_t number;  ///< of the item: what get_count is when it is taken
    std::uint32_t size;
    Kind kind;
};

/// In a chunk instead of a large item's bytes.
struct LargeReference {
    std::uint64_t offset;
    std::uint64_t size;
};

/// Before each item in the area for large ones.
struct LargeHeader {
    /// What `reader` says when the item was read. Before: 0 while it was not taken,
    /// then the id of the process that reads it.
    static constexpr std::uint32_t read = ~std::uint32_t{0};

    std::uint64_t number;
    std::uint64_t room;  ///< bytes to the next block
    std::atomic<std::uint32_t> reader;
};

inline constexpr std::size_t item_alignment = 16;
inline constexpr std::size_t chunk_bytes = 128UL << 10U;
/// Longer items go to the area for large ones, where they are read in place.
inline constexpr std::size_t max_inline = chunk_bytes / 4;
inline constexpr std::size_t large_alignment = 64;

/// Memory for large items that a queue with something in it keeps.
inline constexpr std::uint64_t kept_large_bytes = 64UL << 20U;

/// Of the area that the chunks stand in, and of that for large items.
inline constexpr std::uint64_t least_chunks = 4;
inline constexpr std::uint64_t least_large_bytes = chunk_bytes;

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// queue_layout: what the processes of one queue see. See docs/protocols/queue.md.
#pragma once

#include "queue/queue_seal.hpp"
#include "queue/sleepers.hpp"
#include "sync/owner_lock.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mp::detail {

/// Where the next item is put. A producer writes the other one of two, then commits.
struct alignas(64) PutEnd {
    std::uint64_t chunk;       ///< number of the chunk, from the first on
    std::uint32_t offset;      ///< in that chunk
    std::uint32_t place_seal;  ///< of these two, which change with each item
    std::uint64_t recycled;  ///< chunks before this number are in use again, or retired
    std::uint32_t retired;   ///< chunks whose memory went back to the system
    std::uint32_t fresh;     ///< chunks that were ever used
    std::uint64_t large_head;
    std::uint64_t large_tail;
    /// Memory beyond this was never used, or went back. It changes on its own: no part
    /// of a seal.
    std::uint64_t large_touched;
    std::uint64_t rest_seal;  ///< of the others, which are looked at more rarely

    /// `turn` is put_count + (trims << 32) when this counts.
    std::uint32_t
    right_place_seal(std::uint64_t key, std::uint64_t turn) const noexcept {
        const std::uint64_t place = std::rotl(chunk, 20) ^ offset;
        return static_cast<std::uint32_t>((key + turn + place) * seal::factor >> 32U);
    }

    std::uint64_t right_rest_seal(std::uint64_t key) const noexcept {
        const std::uint64_t two = std::uint64_t{fresh} << 32U | retired;
        return seal::of(key, two) ^ std::rotl(recycled, 13) ^
               std::rotl(large_head, 31) ^ std::rotl(large_tail, 47);
    }
};

/// Where the next item is taken from.
struct GetPlace {
    std::uint64_t chunk;
    std::uint64_t offset;

    std::uint64_t right_seal(std::uint64_t key, std::uint64_t count) const noexcept {
        return seal::of(key, count) ^ std::rotl(chunk, 13) ^ std::rotl(offset, 41);
    }
};

/// The same in shared memory: producers read it, too.
struct GetEnd {
    std::atomic<std::uint64_t> chunk;
    std::atomic<std::uint64_t> offset;
    std::atomic<std::uint64_t> seal;
};

/// What an empty queue may keep beyond its threshold: the chunk that is in use, and so
/// much that a trim is worth its while.
inline constexpr std::uint64_t trim_slack = 512UL << 10U;

enum class QueueShut : std::uint32_t { no, to_producers, to_all };

/// What `shut` and `watched` may say, besides.
enum class QueueWord : std::uint32_t { damaged = 3, unwatched, watched };

/// In a SharedBlock. What the maker decided is not here, but in each process's
/// QueueGeometry.
struct QueueControl {
    // Guarded by put_lock.
    alignas(64) OwnerLock put_lock;
    std::atomic<std::uint64_t> trims;  ///< a trim's commit
    std::array<PutEnd, 2> put_ends;
    alignas(64) std::atomic<std::uint64_t> put_count;  ///< items ever put: the commit
    /// That of a count stands at its number modulo 2, before the commit.
    std::array<std::atomic<std::uint64_t>, 2> put_seals;

    // Guarded by get_lock; in the same way.
    alignas(64) OwnerLock get_lock;
    std::array<GetEnd, 2> get_ends;
    alignas(64) std::atomic<std::uint64_t> get_count;  ///< items ever taken

    alignas(64) std::atomic<std::uint64_t> large_read;  ///< large items done with

    // Code words of the queue's own, of QueueShut and QueueWord.
    alignas(64) std::atomic<std::uint32_t> shut;
    std::atomic<std::uint32_t> watched;  ///< a process asked for the descriptor
    /// Memory that the items took and did not give back, in use or not: a guess that is
    /// never too low. Written with put_lock, and rarely.
    std::atomic<std::uint64_t> touched;

    Sleepers consumers;
    Sleepers producers;

    // For JoinableQueue.
    alignas(64) OwnerLock done_lock;
    std::atomic<std::uint64_t> deaths;  ///< of consumers, that no join() has told
    Sleepers joiners;
    std::atomic<std::uint64_t> accounts_used;
    /// What each process has taken and not reported done: its generation, and how many,
    /// signed: another may report. One word, so one operation changes both. 0 from the
    /// used ones on.
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

    /// The same, as it stands in the seal.
    std::uint64_t put_turn_number() const noexcept {
        // order: relaxed, only the holder of the lock changes these two.
        return put_count.load(std::memory_order_relaxed) +
               (trims.load(std::memory_order_relaxed) << 32U);
    }
};

/// Before each item in a chunk.
struct ItemHeader {
    enum class Kind : std::uint32_t { item = 1, large, chunk_ends };

    std::uint64_t seal;
    std::uint32_t size;
    Kind kind;

    /// `number` is that of the item: what get_count is when it is taken.
    std::uint64_t right_seal(std::uint64_t key, std::uint64_t number) const noexcept {
        return seal::of(key, number) ^
               (std::uint64_t{size} << 32U | static_cast<std::uint32_t>(kind));
    }
};

/// In a chunk instead of a large item's bytes.
struct LargeReference {
    std::uint64_t offset;
    std::uint64_t size;
    std::uint64_t seal;

    std::uint64_t right_seal(std::uint64_t key, std::uint64_t number) const noexcept {
        return seal::of(~key, number) ^ std::rotl(offset, 13) ^ std::rotl(size, 41);
    }
};

/// Of each item in the area for large ones.
struct LargeBlock {
    std::uint64_t number;
    std::uint64_t room;  ///< bytes to the next block
    std::uint64_t seal;

    std::uint64_t right_seal(std::uint64_t key, std::uint64_t offset) const noexcept {
        return seal::of(key ^ seal::factor, offset) ^ std::rotl(number, 13) ^
               std::rotl(room, 41);
    }
};

/// The same in shared memory, before the item.
struct LargeHeader {
    /// What `reader` says when the item was read. Before: 0 while it was not taken,
    /// then the id of the process that reads it.
    static constexpr std::uint32_t read = ~std::uint32_t{0};

    LargeBlock block;
    /// In the upper half, what ties it to the number of the item.
    std::atomic<std::uint64_t> reader;

    static std::uint64_t
    reader_word(std::uint64_t key, std::uint64_t number, std::uint32_t who) noexcept {
        const std::uint64_t upper = seal::of(key, number) >> 32U << 32U;
        return (upper ^ (std::uint64_t{who} * 0x9e37'79b1U) << 32U) | who;
    }
};

inline constexpr std::size_t item_alignment = 16;
inline constexpr std::size_t chunk_bytes = 128UL << 10U;
/// Longer items go to the area for large ones, where they are read in place.
inline constexpr std::size_t max_inline = chunk_bytes / 4;
inline constexpr std::size_t large_alignment = 64;
/// Of a block in that area, before the item.
inline constexpr std::size_t large_header_bytes = large_alignment;
static_assert(sizeof(LargeHeader) <= large_header_bytes);

/// Memory for large items that a queue with something in it keeps.
inline constexpr std::uint64_t kept_large_bytes = 64UL << 20U;

/// Of the area that the chunks stand in, and of that for large items.
inline constexpr std::uint64_t least_chunks = 4;
inline constexpr std::uint64_t least_large_bytes = chunk_bytes;

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// Arenas: shared memory for messages that are too long for a slot. The writer of an
// arena allocates; whoever read a block gives it back. Blocks are recycled while their
// pages are warm: a fresh page costs more than copying into it. Not mp::detail::Arena,
// which never uses a block again that another process has seen.
//   CallArena      the parent's, for all workers; it also frees.
//   ResultArena    one per worker process: that worker allocates, the parent gives back
//                  through a list in the arena itself.
#pragma once

#include "futures/detail/board_task.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/creator.hpp"
#include "mp/detail/shm.hpp"
#include "mp/thread_safety.hpp"

#include "process_pool/block_table.hpp"
#include "process_pool/guard_timer.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace futures::detail {

/// How large the segments of a pool's arenas are: sparse, so they cost addresses only.
/// Smaller where limits, or the addresses that a process has, leave less.
struct ArenaSizes {
    std::size_t calls;
    std::size_t results;  ///< of each worker
};

ArenaSizes arena_sizes(std::uint32_t workers);

class CallArena : public MessageArena, public std::enable_shared_from_this<CallArena> {
public:
    /// `size`: as arena_sizes() says, or less. `idle` hears what comes back.
    explicit CallArena(std::size_t size, std::shared_ptr<GuardTimer> idle = nullptr);

    /// Throws ResourceLimitExceeded.
    Block allocate(std::uint64_t size);

    /// Nothing where there is no room now. Throws as above when there is no memory, or
    /// never room for so much.
    std::optional<Block> try_allocate(std::uint64_t size);

    std::size_t longest_message() const noexcept { return segment_.size() / 2; }

    void give_back(std::uint64_t offset, std::uint64_t size) noexcept override;

    /// Gives free memory back to the system, all but so many bytes.
    void trim(std::uint64_t kept) noexcept;

    std::byte* memory() const noexcept override { return segment_.data(); }

    const mp::detail::Segment& segment() const noexcept { return segment_; }

    std::uint64_t bytes_in_use() const;

private:
    // Set once in the constructor.
    const mp::detail::Creator creator_;
    const std::shared_ptr<GuardTimer> idle_;
    mp::detail::Segment segment_;

    // Guarded by mutex_.
    mutable mp::detail::Mutex mutex_;
    BlockTable table_ MP_GUARDED_BY(mutex_);
};

/// The parent's side of a worker's arena. It outlives the worker: until the last block
/// that was delivered from it is given back.
class ResultArenaReader : public MessageArena,
                          public std::enable_shared_from_this<ResultArenaReader> {
public:
    /// As CallArena.
    explicit ResultArenaReader(
        std::size_t size, std::shared_ptr<GuardTimer> idle = nullptr
    );

    /// Whether it is so small that results are to be copied out of it at once: its
    /// worker waits until there is room again.
    bool is_tight() const noexcept;

    /// Whether there can be such a block.
    bool has(BlockReference reference) const noexcept;

    /// The block that a result entry names. Throws mp::SerializationError unless has().
    Block open(BlockReference reference);

    /// Whether its worker waits for room although no block is on its way back to it.
    /// Requires: all that it gave away was given back, and is_tight().
    bool waits_in_vain() const noexcept;

    void give_back(std::uint64_t offset, std::uint64_t size) noexcept override;

    std::byte* memory() const noexcept override { return segment_.data(); }

    const mp::detail::Segment& segment() const noexcept { return segment_; }

private:
    const mp::detail::Creator creator_;
    const std::shared_ptr<GuardTimer> idle_;
    mp::detail::Segment segment_;
};

/// The worker's side of it.
class ResultArenaWriter {
public:
    /// `segment` is what the parent's ResultArenaReader made.
    explicit ResultArenaWriter(mp::detail::Segment segment) noexcept;

    /// In a tight arena it waits until the parent has given back enough. Throws
    /// ResourceLimitExceeded.
    std::uint64_t allocate(std::uint64_t size);

    /// Nothing where there is no room now; else as above.
    std::optional<std::uint64_t> try_allocate(std::uint64_t size);

    std::size_t longest_message() const noexcept { return table_.longest_message(); }

    /// What a block can take.
    std::span<std::byte> bytes_at(std::uint64_t offset) const noexcept {
        return {
            segment_.data() + offset,
            table_.whole_size(offset) - sizeof(BlockTable::BlockHeader)};
    }

    /// For a block that was never told to the parent.
    void release(std::uint64_t offset) noexcept { table_.release(offset); }

    /// This block is the parent's from now on.
    void give_away(std::uint64_t offset) noexcept {
        given_away_ += table_.give_away(offset);
    }

    /// The list of what came back names what was not given away: somebody wrote over
    /// it, and no more is taken from it.
    bool is_damaged() const noexcept { return damaged_; }

    /// Gives free memory back to the system, all but so many bytes.
    void trim(std::uint64_t kept) noexcept;

    std::byte* memory() const noexcept { return segment_.data(); }

    std::uint64_t bytes_in_use() noexcept;

private:
    void take_returned() noexcept;
    void wait_for_returned() noexcept;

    mp::detail::Segment segment_;
    BlockTable table_;
    std::uint64_t given_away_ = 0;  ///< bytes that the parent has
    bool damaged_ = false;
};

/// Another block with what is written of a message, with room for more of it. In a
/// small arena the two may not fit side by side: then the message waits on the heap
/// until `give_up` has released the one that it had. Throws as Arena::allocate() does.
template <class Arena, class GiveUp, class MemoryOf>
auto moved_to_larger_block(
    Arena& arena,
    std::span<const std::byte> written,
    mp::detail::ByteStore::Room room,
    GiveUp give_up,
    MemoryOf memory_of
) {
    const std::size_t wanted =
        std::max(room.needed, std::min(room.wanted, arena.longest_message()));
    auto larger = arena.try_allocate(wanted);
    std::vector<std::byte> kept;
    if (!larger) {
        kept.assign(written.begin(), written.end());
        written = kept;
        give_up();
        larger = arena.try_allocate(wanted);
    }
    if (!larger) {
        larger = arena.allocate(room.needed);
    }
    mp::detail::copy_block(memory_of(*larger), written.data(), written.size());
    return std::move(*larger);
}

/// Where a worker encodes a result that is too long for its writer's own buffer.
class ResultStore final : public mp::detail::ByteStore {
public:
    explicit ResultStore(ResultArenaWriter& arena) noexcept : arena_(arena) {}

    /// Throws ResourceLimitExceeded.
    std::span<std::byte> grow(std::span<const std::byte> written, Room room) override;

    /// The message, of so many bytes; it is the reader's from now on.
    BlockReference give_away(std::uint64_t size) noexcept {
        arena_.give_away(offset_);
        return {std::exchange(offset_, 0), size};
    }

    /// Forgets what was not given away.
    void release() noexcept {
        if (offset_ != 0) {
            arena_.release(std::exchange(offset_, 0));
        }
    }

private:
    ResultArenaWriter& arena_;
    std::uint64_t offset_ = 0;  ///< 0: nothing
};

}  // namespace futures::detail

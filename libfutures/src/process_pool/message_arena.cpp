// SPDX-License-Identifier: BSL-1.0
#include "process_pool/message_arena.hpp"

#include "mp/errors.hpp"

#include "os/address_space.hpp"
#include "os/failpoint.hpp"
#include "os/page.hpp"
#include "os/sanitized.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <string>

namespace futures::detail {

using mp::os::page_size;

namespace {

/// An arena below this was made so small by limits. Results are copied out of it, so
/// that its worker can go on while the program keeps them.
constexpr std::size_t tight_below = std::size_t{1} << 30U;

/// The smallest arena that is worth a pool.
constexpr std::size_t least_arena = std::size_t{128} << 10U;

/// Of the addresses that are left, a pool takes one part in so many for calls, and one
/// for the results of all its workers.
constexpr std::size_t parts_for_calls = 8;
constexpr std::size_t parts_for_results = 8;

/// How long a worker sleeps at most that waits for room.
constexpr std::chrono::milliseconds recheck{20};

/// The first lines of a result arena.
struct ArenaHeader {
    /// The list of blocks that the parent gave back: offset + 1 of the latest; 0: none.
    alignas(cache_line) std::atomic<std::uint64_t> returned;
    /// The worker sleeps on the bell until the list is not empty.
    alignas(cache_line) std::atomic<std::uint32_t> waiting;
    mp::detail::FutexWord bell;
};

ArenaHeader& arena_header(std::byte* memory) noexcept {
    return *reinterpret_cast<ArenaHeader*>(memory);
}

}  // namespace

// ---- capacity

namespace {

std::size_t largest_arena() {
    if constexpr (mp::os::under_tsan) {  // it leaves a program little address space
        return std::size_t{4} << 30U;
    }
    const auto pages = static_cast<std::size_t>(std::max(sysconf(_SC_PHYS_PAGES), 1L));
    constexpr std::size_t least = std::size_t{1} << 32U;
    return std::bit_ceil(std::max(4 * pages * page_size(), least));
}

}  // namespace

ArenaSizes arena_sizes(std::uint32_t workers) {
    const std::size_t most = largest_arena();
    const auto fitting = [&](std::size_t parts, std::size_t count) {
        return std::clamp(mp::os::largest_reservation(parts, count), least_arena, most);
    };
    return {
        .calls = fitting(parts_for_calls, 1),
        .results = fitting(parts_for_results, workers)};
}

// ---- CallArena

CallArena::CallArena(std::size_t size, std::shared_ptr<GuardTimer> idle)
    : idle_(std::move(idle)),
      segment_(mp::detail::Segment::up_to("mp-calls", size, least_arena)),
      table_(segment_) {}

std::optional<Block> CallArena::try_allocate(std::uint64_t size) {
    if (idle_ && BlockTable::is_large(size)) {
        idle_->arm();  // while it is filled, the pool is not at rest
    }
    const mp::detail::MutexLock lock(mutex_);
    if (const auto offset = table_.allocate(size)) {
        return Block(shared_from_this(), *offset, size);
    }
    return std::nullopt;
}

Block CallArena::allocate(std::uint64_t size) {
    if (auto block = try_allocate(size)) {
        return std::move(*block);
    }
    throw mp::ResourceLimitExceeded(
        "no room for a message of " + std::to_string(size) + " bytes: the arena of " +
        std::to_string(segment_.size()) +
        " bytes is full of tasks that are not done (" + mp::os::address_limits() +
        "; map() with a buffersize submits fewer at a time)"
    );
}

void CallArena::trim(std::uint64_t kept) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    table_.trim(kept);
}

void CallArena::give_back(std::uint64_t offset, std::uint64_t /*size*/) noexcept {
    if (!creator_.is_here()) {
        return;  // a copy in a forked child: the parent gives it back
    }
    std::uint64_t whole = 0;
    {
        const mp::detail::MutexLock lock(mutex_);
        whole = table_.whole_size(offset);
        table_.release(offset);
    }
    if (idle_) {
        idle_->given_back(whole);
    }
}

std::uint64_t CallArena::bytes_in_use() const {
    const mp::detail::MutexLock lock(mutex_);
    return table_.bytes_in_use();
}

// ---- ResultArenaReader

ResultArenaReader::ResultArenaReader(std::size_t size, std::shared_ptr<GuardTimer> idle)
    : idle_(std::move(idle)),
      segment_(mp::detail::Segment::up_to("mp-results", size, least_arena)) {}

bool ResultArenaReader::is_tight() const noexcept {
    return segment_.size() < tight_below;
}

bool ResultArenaReader::has(BlockReference reference) const noexcept {
    const auto [offset, size] = reference;
    return offset % cache_line == 0 && offset >= page_size() &&
           offset <= segment_.size() && size <= segment_.size() - offset;
}

Block ResultArenaReader::open(BlockReference reference) {
    const auto [offset, size] = reference;
    if (!has(reference)) {
        throw mp::SerializationError(
            mp::SerializationPhase::decode_result,
            "a worker named a result outside of its arena: " + std::to_string(size) +
                " bytes at " + std::to_string(offset)
        );
    }
    return {shared_from_this(), offset, size};
}

bool ResultArenaReader::waits_in_vain() const noexcept {
    const ArenaHeader& header = arena_header(segment_.data());
    // In this order: a worker says that it waits before it sees that the list is empty,
    // and takes that back before it empties the list.
    return is_tight() && header.returned.load() == 0 && header.waiting.load() != 0;
}

void ResultArenaReader::give_back(std::uint64_t offset, std::uint64_t size) noexcept {
    if (!creator_.is_here()) {
        return;  // as above
    }
    // Only takes all at once: no block can come back to the list while one of us
    // pushes it, so there is no ABA.
    auto& block = *reinterpret_cast<BlockTable::BlockHeader*>(
        segment_.data() + offset - sizeof(BlockTable::BlockHeader)
    );
    ArenaHeader& header = arena_header(segment_.data());
    // order: the exchange below is what publishes; this is only its expected value.
    std::uint64_t seen = header.returned.load(std::memory_order_relaxed);
    do {
        // order: published by the exchange.
        block.next_returned.store(seen, std::memory_order_relaxed);
        // Pairs with ResultArenaWriter::take_returned, so that it sees `next_returned`,
        // and our reads of the block come before its next use; and with
        // wait_for_returned(): either it sees the block, or we see that it waits.
    } while (!header.returned.compare_exchange_weak(seen, offset + 1));
    if (header.waiting.load() != 0) [[unlikely]] {
        header.waiting.store(0);
        header.bell.fetch_add(1);
        futex_wake(header.bell, 1, mp::detail::FutexScope::shared);
    }
    if (idle_) {
        idle_->given_back(size + sizeof(BlockTable::BlockHeader));
    }
}

// ---- ResultArenaWriter

ResultArenaWriter::ResultArenaWriter(mp::detail::Segment segment) noexcept
    : segment_(std::move(segment)), table_(segment_) {}

std::uint64_t ResultArenaWriter::allocate(std::uint64_t size) {
    for (;;) {
        if (const auto offset = try_allocate(size)) {
            return *offset;
        }
        // The parent copies what it takes out of a tight arena and gives it back; it
        // knows of all that was given away. Else the program may keep it for ever.
        if (segment_.size() >= tight_below || given_away_ == 0 || damaged_) {
            throw mp::ResourceLimitExceeded(
                "no room for a result of " + std::to_string(size) +
                " bytes: the arena of " + std::to_string(segment_.size()) +
                " bytes is full (" + mp::os::address_limits() +
                "; a pool with fewer max_workers has larger ones)"
            );
        }
        wait_for_returned();
    }
}

std::optional<std::uint64_t> ResultArenaWriter::try_allocate(std::uint64_t size) {
    take_returned();
    return table_.allocate(size);
}

void ResultArenaWriter::wait_for_returned() noexcept {
    ArenaHeader& header = arena_header(segment_.data());
    const std::uint32_t heard = header.bell.load();
    header.waiting.store(1);
    MP_FAILPOINT("worker: waits for room");
    if (header.returned.load() == 0) {
        // Again and again: these words may be written over, and then nobody rings. The
        // death of the parent ends this worker (die_with_parent).
        futex_wait(
            header.bell, heard, mp::Deadline(recheck), mp::detail::FutexScope::shared
        );
    }
    header.waiting.store(0);  // before the list is emptied; see waits_in_vain()
}

std::uint64_t ResultArenaWriter::bytes_in_use() noexcept {
    take_returned();
    return table_.bytes_in_use();
}

void ResultArenaWriter::take_returned() noexcept {
    // order: pairs with ResultArenaReader::give_back.
    std::uint64_t next =
        arena_header(segment_.data()).returned.exchange(0, std::memory_order_acquire);
    while (next != 0) {
        const std::uint64_t offset = next - 1;
        const std::uint64_t whole = table_.take_back(offset);
        if (whole == 0) {
            damaged_ = true;
            return;
        }
        // order: made visible by the exchange.
        next = table_.header_of(offset).next_returned.load(std::memory_order_relaxed);
        given_away_ -= std::min(given_away_, whole);
        table_.release(offset);
    }
}

void ResultArenaWriter::trim(std::uint64_t kept) noexcept {
    take_returned();
    table_.trim(kept);
}

// ---- ResultStore

std::span<std::byte> ResultStore::grow(std::span<const std::byte> written, Room room) {
    const std::uint64_t larger = moved_to_larger_block(
        arena_,
        written,
        room,
        [&] { release(); },
        [&](std::uint64_t offset) { return arena_.memory() + offset; }
    );
    release();
    offset_ = larger;
    return arena_.bytes_at(larger);
}

}  // namespace futures::detail

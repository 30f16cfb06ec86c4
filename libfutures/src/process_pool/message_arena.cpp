// SPDX-License-Identifier: BSL-1.0
#include "process_pool/message_arena.hpp"

#include "mp/errors.hpp"

#include "os/page.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string>

namespace futures::detail {

using mp::os::page_size;
using mp::os::rounded_down;
using mp::os::rounded_up;

namespace {

constexpr std::uint64_t smallest = 512;

/// A block of this size or more begins at a page, and can give its pages back.
bool is_large(std::uint64_t size) noexcept {
    return size >= std::max(std::uint64_t{64} << 10U, std::uint64_t{4 * page_size()});
}

/// Free blocks beyond this give their pages back to the system.
constexpr std::uint64_t max_warm_bytes = std::uint64_t{256} << 20U;

/// Only a reservation this large is worth a look at how much memory there is.
constexpr std::uint64_t worth_a_check = std::uint64_t{64} << 20U;

/// The first line of a result arena: the list of blocks that the parent gave back.
struct alignas(cache_line) ArenaHeader {
    std::atomic<std::uint64_t> returned;  ///< offset + 1 of the latest; 0: none
};

ArenaHeader& arena_header(std::byte* memory) noexcept {
    return *reinterpret_cast<ArenaHeader*>(memory);
}

// Four size classes for each doubling: class c holds (4 + c % 4) << (c / 4) units.
constexpr std::uint64_t size_of_class(std::uint32_t size_class) noexcept {
    return ((4 + size_class % 4) * smallest / 4) << (size_class / 4);
}

constexpr std::uint32_t class_for(std::uint64_t size) noexcept {
    if (size <= smallest) {
        return 0;
    }
    const auto doublings =
        static_cast<std::uint32_t>(std::bit_width((size - 1) / smallest)) - 1;
    std::uint32_t size_class = doublings * 4;
    while (size_of_class(size_class) < size) {
        ++size_class;
    }
    return size_class;
}

static_assert(size_of_class(0) == 512 && size_of_class(4) == 1024);
static_assert(class_for(512) == 0 && class_for(513) == 1 && class_for(1025) == 5);

}  // namespace

// ---- BlockTable

BlockTable::BlockTable(mp::detail::Segment& segment) noexcept
    : segment_(segment), fresh_(page_size()) {}

BlockTable::BlockHeader& BlockTable::header_of(std::uint64_t offset) const noexcept {
    return *reinterpret_cast<BlockHeader*>(
        segment_.data() + offset - sizeof(BlockHeader)
    );
}

std::uint64_t BlockTable::allocate(std::uint64_t size) {
    if (size > segment_.size() / 2) {
        throw mp::ResourceLimitExceeded(
            "a message of " + std::to_string(size) +
            " bytes is too long for an arena of " + std::to_string(segment_.size())
        );
    }
    const std::uint32_t size_class = class_for(size + sizeof(BlockHeader));
    const std::uint64_t whole = size_of_class(size_class);
    if (free_.size() <= size_class) {
        free_.resize(size_class + 1);
    }
    auto& list = free_[size_class];
    std::uint64_t offset = 0;
    const bool reused = !list.empty();
    const bool warm = reused && list.back().warm;
    if (!warm && whole >= worth_a_check) {
        mp::detail::check_available_memory(whole, "a message");
    }
    if (reused) {
        offset = list.back().offset;
        warm_ -= warm ? whole : 0;
        list.pop_back();
    } else {
        offset = fresh_block(whole) + sizeof(BlockHeader);
    }
    header_of(offset).size_class = size_class;
    in_use_ += whole;
    return offset;
}

std::uint64_t BlockTable::fresh_block(std::uint64_t size) {
    // Large blocks begin one line before a page, so that giving their pages back leaves
    // only the headers.
    std::uint64_t at = fresh_;
    if (is_large(size)) {
        at = rounded_up(at + sizeof(BlockHeader), page_size()) - sizeof(BlockHeader);
    }
    if (at + size > segment_.size()) {
        throw mp::ResourceLimitExceeded(
            "no room for a message of " + std::to_string(size) +
            " bytes: the arena of " + std::to_string(segment_.size()) + " bytes is full"
        );
    }
    fresh_ = at + size;
    return at;
}

void BlockTable::release(std::uint64_t offset) noexcept {
    const std::uint32_t size_class = header_of(offset).size_class;
    const std::uint64_t whole = size_of_class(size_class);
    in_use_ -= whole;
    const bool warm = !is_large(whole) || warm_ + whole <= max_warm_bytes;
    if (warm) {
        warm_ += whole;
    } else {
        const std::uint64_t usable =
            rounded_down(whole - sizeof(BlockHeader), page_size());
        segment_.punch_hole(offset, usable);
    }
    auto& list = free_[size_class];
    try {
        // A cold block goes to the bottom: warm ones are taken first.
        list.insert(warm ? list.end() : list.begin(), FreeBlock{offset, warm});
    } catch (const std::bad_alloc&) {
        warm_ -= warm ? whole : 0;  // forgotten: it costs address space
    }
}

// ---- capacity

std::size_t arena_capacity() {
#ifdef __SANITIZE_THREAD__
    return std::size_t{4} << 30U;  // TSan leaves little address space to a program
#else
    const auto pages = static_cast<std::size_t>(std::max(sysconf(_SC_PHYS_PAGES), 1L));
    constexpr std::size_t least = std::size_t{1} << 32U;
    return std::bit_ceil(std::max(4 * pages * page_size(), least));
#endif
}

mp::detail::Segment make_arena_segment(const char* name) {
    constexpr std::size_t least = std::size_t{16} << 20U;
    for (std::size_t size = arena_capacity();; size /= 2) {
        try {
            return {name, size};
        } catch (const mp::ResourceLimitExceeded&) {
            if (size <= least) {
                throw;
            }
        }
    }
}

// ---- CallArena

CallArena::CallArena() : segment_(make_arena_segment("mp-calls")), table_(segment_) {}

Block CallArena::allocate(std::uint64_t size) {
    const mp::detail::MutexLock lock(mutex_);
    return {shared_from_this(), table_.allocate(size), size};
}

void CallArena::give_back(std::uint64_t offset) noexcept {
    if (!creator_.is_here()) {
        return;  // a copy in a forked child: the parent gives it back
    }
    const mp::detail::MutexLock lock(mutex_);
    table_.release(offset);
}

std::uint64_t CallArena::bytes_in_use() const {
    const mp::detail::MutexLock lock(mutex_);
    return table_.bytes_in_use();
}

// ---- ResultArenaReader

ResultArenaReader::ResultArenaReader() : segment_(make_arena_segment("mp-results")) {}

Block ResultArenaReader::open(BlockReference reference) {
    const auto [offset, size] = reference;
    if (offset % cache_line != 0 || offset < page_size() || offset > segment_.size() ||
        size > segment_.size() - offset) {
        throw mp::SerializationError(
            mp::SerializationPhase::decode_result,
            "a worker named a result outside of its arena: " + std::to_string(size) +
                " bytes at " + std::to_string(offset)
        );
    }
    return {shared_from_this(), offset, size};
}

void ResultArenaReader::give_back(std::uint64_t offset) noexcept {
    if (!creator_.is_here()) {
        return;  // as above
    }
    // Only takes all at once: no block can come back to the list while one of us
    // pushes it, so there is no ABA.
    auto& next = reinterpret_cast<BlockTable::BlockHeader*>(
                     segment_.data() + offset - sizeof(BlockTable::BlockHeader)
    )
                     ->next_returned;
    auto& latest = arena_header(segment_.data()).returned;
    // order: the exchange below is what publishes; this is only its expected value.
    std::uint64_t seen = latest.load(std::memory_order_relaxed);
    do {
        // order: published by the exchange.
        next.store(seen, std::memory_order_relaxed);
        // order: pairs with ResultArenaWriter::take_returned, so that it sees `next`,
        // and our reads of the block come before its next use.
    } while (!latest.compare_exchange_weak(
        seen, offset + 1, std::memory_order_release, std::memory_order_relaxed
    ));
}

// ---- ResultArenaWriter

ResultArenaWriter::ResultArenaWriter(mp::detail::Segment segment) noexcept
    : segment_(std::move(segment)), table_(segment_) {}

std::uint64_t ResultArenaWriter::allocate(std::uint64_t size) {
    take_returned();
    return table_.allocate(size);
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
        // order: made visible by the exchange.
        next = table_.header_of(offset).next_returned.load(std::memory_order_relaxed);
        table_.release(offset);
    }
}

// ---- ResultStore

std::span<std::byte>
ResultStore::grow(std::span<const std::byte> written, std::size_t wanted) {
    const std::uint64_t larger = arena_.allocate(wanted);
    std::byte* const memory = arena_.memory() + larger;
    mp::detail::copy_block(memory, written.data(), written.size());
    release();
    offset_ = larger;
    return {memory, wanted};
}

}  // namespace futures::detail

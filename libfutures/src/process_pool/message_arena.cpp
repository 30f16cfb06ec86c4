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

/// Holes that are tried before fresh memory is: they may be warm.
constexpr std::size_t few_holes = 8;

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
    : segment_(segment), fresh_(page_size()), touched_(fresh_) {}

BlockTable::BlockHeader& BlockTable::header_of(std::uint64_t offset) const noexcept {
    return *reinterpret_cast<BlockHeader*>(
        segment_.data() + offset - sizeof(BlockHeader)
    );
}

/// Where the records have the block; their number if it is not in use. Its header says
/// where; if somebody wrote over that, each record is looked at.
std::size_t BlockTable::find(std::uint64_t offset) const noexcept {
    if (offset < sizeof(BlockHeader) || offset > segment_.size()) {
        return records_.size();
    }
    // order: private to us, unless it is damaged.
    const std::size_t said = header_of(offset).record.load(std::memory_order_relaxed);
    if (said < records_.size() && records_[said].offset == offset) {
        return said;
    }
    const auto at =
        std::find_if(records_.begin(), records_.end(), [&](const auto& one) {
            return one.offset == offset;
        });
    return static_cast<std::size_t>(at - records_.begin());
}

void BlockTable::reserve_record() {
    if (unused_.empty()) {
        if (records_.size() == unused_.capacity()) {
            unused_.reserve(std::max<std::size_t>(2 * records_.size(), 16));
        }
        records_.reserve(unused_.capacity());
        unused_.push_back(static_cast<std::uint32_t>(records_.size()));
        records_.push_back({});
    }
}

void BlockTable::record(std::uint64_t offset, std::uint32_t size_class) noexcept {
    const std::uint32_t index = unused_.back();
    unused_.pop_back();
    records_[index] = {.offset = offset, .size_class = size_class, .given_away = false};
    // order: as in find().
    header_of(offset).record.store(index, std::memory_order_relaxed);
}

std::uint64_t BlockTable::whole_size(std::uint64_t offset) const noexcept {
    const std::size_t index = find(offset);
    return index < records_.size() ? size_of_class(records_[index].size_class) : 0;
}

std::uint64_t BlockTable::take_back(std::uint64_t offset) noexcept {
    const std::size_t index = find(offset);
    if (index == records_.size() || !records_[index].given_away) {
        return 0;
    }
    records_[index].given_away = false;
    return size_of_class(records_[index].size_class);
}

std::uint64_t BlockTable::give_away(std::uint64_t offset) noexcept {
    const std::size_t index = find(offset);
    if (index == records_.size()) {
        return 0;
    }
    records_[index].given_away = true;
    return size_of_class(records_[index].size_class);
}

std::optional<std::uint64_t> BlockTable::allocate(std::uint64_t size) {
    if (size > longest_message()) {
        throw mp::ResourceLimitExceeded(
            "a message of " + std::to_string(size) +
            " bytes is too long for an arena of " + std::to_string(segment_.size()) +
            " (" + mp::os::address_limits() +
            "; a pool with fewer max_workers has larger ones)"
        );
    }
    const std::uint32_t size_class = class_for(size + sizeof(BlockHeader));
    const std::uint64_t whole = size_of_class(size_class);
    if (free_.size() <= size_class) {
        free_.resize(size_class + 1);
    }
    reserve_record();
    auto& list = free_[size_class];
    const bool reused = !list.empty();
    const bool warm = reused && list.back().warm;
    if (!warm && whole >= worth_a_check) {
        mp::detail::check_available_memory(whole, "a message");
    }
    std::optional<std::uint64_t> offset;
    if (reused) {
        offset = list.back().offset;
        warm_ -= warm ? whole : 0;
        list.pop_back();
    } else {
        offset = place_for(whole);
        if (!offset) {
            return std::nullopt;
        }
    }
    record(*offset, size_class);
    in_use_ += whole;
    return offset;
}

std::optional<std::uint64_t> BlockTable::place_for(std::uint64_t whole) {
    auto offset = holes_.size() <= few_holes ? block_in_a_hole(whole) : std::nullopt;
    if (!offset) {
        offset = fresh_block(whole);
    }
    if (!offset) {
        // Free blocks of other sizes may make one.
        merge();
        offset = fresh_block(whole);
    }
    return offset ? offset : block_in_a_hole(whole);
}

namespace {

/// Large blocks begin one line before a page, so that giving their pages back leaves
/// only the headers.
std::uint64_t begin_of_block(std::uint64_t at, std::uint64_t whole) noexcept {
    constexpr std::uint64_t header = sizeof(BlockTable::BlockHeader);
    return is_large(whole) ? rounded_up(at + header, page_size()) - header : at;
}

}  // namespace

std::optional<std::uint64_t> BlockTable::fresh_block(std::uint64_t whole) {
    const std::uint64_t at = begin_of_block(fresh_, whole);
    if (at > segment_.size() || whole > segment_.size() - at) {
        return std::nullopt;
    }
    if (at > fresh_) {
        gaps_.push_back({fresh_, at});
    }
    fresh_ = at + whole;
    touched_ = std::max(touched_, fresh_);
    return at + sizeof(BlockHeader);
}

std::optional<std::uint64_t> BlockTable::block_in_a_hole(std::uint64_t whole) {
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
        const std::uint64_t at = begin_of_block(hole->begin, whole);
        if (at > hole->end || whole > hole->end - at) {
            continue;
        }
        if (at > hole->begin) {
            gaps_.push_back({hole->begin, at});
        }
        hole->begin = at + whole;
        if (hole->begin == hole->end) {
            holes_.erase(hole);
        }
        return at + sizeof(BlockHeader);
    }
    return std::nullopt;
}

/// All that is free, as few holes as possible, ordered by address.
void BlockTable::merge() {
    std::vector<Extent> all;
    std::size_t count = holes_.size() + gaps_.size();
    for (const auto& list : free_) {
        count += list.size();
    }
    all.reserve(count);
    all.insert(all.end(), holes_.begin(), holes_.end());
    all.insert(all.end(), gaps_.begin(), gaps_.end());
    for (std::uint32_t size_class = 0; size_class < free_.size(); ++size_class) {
        for (const FreeBlock& block : free_[size_class]) {
            const std::uint64_t begin = block.offset - sizeof(BlockHeader);
            all.push_back({begin, begin + size_of_class(size_class)});
        }
    }
    std::sort(all.begin(), all.end(), [](const Extent& a, const Extent& b) {
        return a.begin < b.begin;
    });
    // From here on nothing throws.
    std::size_t merged = 0;
    for (const Extent& extent : all) {
        if (merged > 0 && all[merged - 1].end == extent.begin) {
            all[merged - 1].end = extent.end;
        } else {
            all[merged++] = extent;
        }
    }
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(merged), all.end());
    if (!all.empty() && all.back().end == fresh_) {
        fresh_ = all.back().begin;
        all.pop_back();
    }
    holes_ = std::move(all);
    gaps_.clear();
    for (auto& list : free_) {
        list.clear();
    }
    warm_ = 0;
}

void BlockTable::trim(std::uint64_t kept) noexcept {
    try {
        merge();
    } catch (const std::bad_alloc&) {
        return;  // at the next time, then
    }
    const auto punch = [&](std::uint64_t begin, std::uint64_t end) {
        begin = rounded_up(begin, page_size());
        end = rounded_down(end, page_size());
        const std::uint64_t stays = begin < end ? std::min(kept, end - begin) : 0;
        kept -= stays;
        begin += rounded_up(stays, page_size());
        if (begin < end) {
            segment_.punch_hole(begin, end - begin);
        }
        return begin;
    };
    for (const Extent& hole : holes_) {
        punch(hole.begin, hole.end);
    }
    touched_ = std::max(fresh_, punch(fresh_, rounded_up(touched_, page_size())));
}

void BlockTable::release(std::uint64_t offset) noexcept {
    const std::size_t index = find(offset);
    if (index == records_.size()) {
        return;
    }
    const std::uint32_t size_class = records_[index].size_class;
    records_[index] = {};
    unused_.push_back(static_cast<std::uint32_t>(index));
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
    if (idle_ && is_large(size)) {
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

// SPDX-License-Identifier: BSL-1.0
#include "process_pool/block_table.hpp"

#include "mp/errors.hpp"

#include "os/address_space.hpp"
#include "os/page.hpp"

#include <algorithm>
#include <bit>
#include <string>

namespace futures::detail {

using mp::os::page_size;
using mp::os::rounded_down;
using mp::os::rounded_up;

namespace {

constexpr std::uint64_t smallest = 512;

/// Free blocks beyond this give their pages back to the system.
constexpr std::uint64_t max_warm_bytes = std::uint64_t{256} << 20U;

/// Only a reservation this large is worth a look at how much memory there is.
constexpr std::uint64_t worth_a_check = std::uint64_t{64} << 20U;

/// Holes that are tried before fresh memory is: they may be warm.
constexpr std::size_t few_holes = 8;

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

bool BlockTable::is_large(std::uint64_t size) noexcept {
    return size >= std::max(std::uint64_t{64} << 10U, std::uint64_t{4 * page_size()});
}

BlockTable::BlockTable(mp::detail::Segment& segment) noexcept
    : segment_(segment), fresh_(page_size()), touched_(fresh_) {}

BlockTable::BlockHeader& BlockTable::header_of(std::uint64_t offset) const noexcept {
    return *reinterpret_cast<BlockHeader*>(
        segment_.data() + offset - sizeof(BlockHeader)
    );
}

/// Where the records have the block; their number if it is not in use. Its header says
/// where; if somebody wrote over that, each record is looked at, and all headers are
/// made good: there may be many.
std::size_t BlockTable::find(std::uint64_t offset) const noexcept {
    if (offset < sizeof(BlockHeader) || offset > segment_.size() ||
        offset % cache_line != 0) {
        return records_.size();
    }
    // order: private to us, unless it is damaged.
    const std::size_t said = header_of(offset).record.load(std::memory_order_relaxed);
    if (said < records_.size() && records_[said].offset == offset) {
        return said;
    }
    std::size_t found = records_.size();
    for (std::size_t index = 0; index < records_.size(); ++index) {
        const std::uint64_t begin = records_[index].offset;
        if (begin != 0) {
            // order: as above.
            header_of(begin).record.store(
                static_cast<std::uint32_t>(index), std::memory_order_relaxed
            );
        }
        found = begin == offset ? index : found;
    }
    return found;
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
    return BlockTable::is_large(whole) ? rounded_up(at + header, page_size()) - header
                                       : at;
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

}  // namespace futures::detail

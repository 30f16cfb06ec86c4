// SPDX-License-Identifier: BSL-1.0
#include "memory/arena.hpp"

#include "mp/errors.hpp"

#include "os/page.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <new>

namespace mp::detail {

using os::page_size;
using os::rounded_up;

namespace {

constexpr std::uint64_t arena_magic = 0x3161'6e65'7261'706dULL;  // "mparena1"

// Longer stretches are given back to the system rather than wiped.
constexpr std::size_t worth_a_hole = std::size_t{64} << 10U;

std::uint64_t next_number() {
    static std::atomic<std::uint32_t> count{0};
    return static_cast<std::uint64_t>(::getpid()) << 32U | (count.fetch_add(1) + 1U);
}

}  // namespace

struct Arena::Header {
    std::uint64_t magic = 0;
    Name name;
};

// The header has the first page for itself, so that a block may be aligned to a page.
Arena::Arena(std::size_t room, ProcessTable& processes)
    : processes_(&processes),
      segment_("mp-arena", page_size() + rounded_up(room, page_size())),
      name_{.family = processes_->name(), .number = next_number()},
      own_(true) {
    new (segment_.data()) Header{.magic = arena_magic, .name = name_};
    free_.emplace(page_size(), segment_.size() - page_size());
}

Arena::Arena(UniqueFd fd, ProcessTable& processes)
    : processes_(&processes), segment_(std::move(fd)), own_(false) {
    const auto* const header = reinterpret_cast<const Header*>(segment_.data());
    if (segment_.size() < page_size() || header->magic != arena_magic ||
        header->name.family != processes.name()) {
        throw SerializationError(
            SerializationPhase::decode,
            "a descriptor that should be an arena of shared memory is something else"
        );
    }
    name_ = header->name;
}

std::optional<std::size_t> Arena::allocate(std::size_t size, std::size_t alignment) {
    size = rounded_up(std::max(size, granule), granule);
    const auto offset = cut(size, std::max(alignment, granule));
    if (offset) {
        // It was wiped when it came free; but other processes can write here.
        wipe(*offset, size);
    }
    return offset;
}

std::optional<std::size_t> Arena::cut(std::size_t size, std::size_t alignment) {
    for (auto hole = free_.begin(); hole != free_.end(); ++hole) {
        const std::size_t begin = hole->first;
        const std::size_t end = begin + hole->second;
        const std::size_t offset = rounded_up(begin, alignment);
        if (offset >= end || end - offset < size) {
            continue;
        }
        // First what can throw.
        if (offset > begin && offset + size < end) {
            free_.emplace(offset + size, end - offset - size);
            hole->second = offset - begin;
        } else if (offset > begin) {
            hole->second = offset - begin;
        } else {
            auto node = free_.extract(hole);
            node.key() = offset + size;
            node.mapped() = end - offset - size;
            if (!node.mapped()) {
                return offset;
            }
            free_.insert(std::move(node));
        }
        return offset;
    }
    return std::nullopt;
}

void Arena::wipe(std::size_t offset, std::size_t size) noexcept {
    const std::size_t end = offset + size;
    const std::size_t first_page = rounded_up(offset, page_size());
    const std::size_t last_page = os::rounded_down(end, page_size());
    if (last_page > first_page && last_page - first_page >= worth_a_hole) {
        segment_.punch_hole(first_page, last_page - first_page);
        std::memset(at(offset), 0, first_page - offset);
        std::memset(at(last_page), 0, end - last_page);
    } else {
        std::memset(at(offset), 0, size);
    }
}

void Arena::free(std::size_t offset, std::size_t size) noexcept {
    size = rounded_up(std::max(size, granule), granule);
    const std::size_t begin = offset;
    const std::size_t end = offset + size;
    wipe(begin, size);
    const auto after = free_.lower_bound(begin);
    const bool meets_after = after != free_.end() && after->first == end;
    if (after != free_.begin()) {
        const auto before = std::prev(after);
        if (before->first + before->second == begin) {
            before->second += size + (meets_after ? after->second : 0);
            if (meets_after) {
                free_.erase(after);
            }
            return;
        }
    }
    if (meets_after) {
        // The hole there begins earlier now, which takes no memory.
        const auto next = std::next(after);
        auto hole = free_.extract(after);
        hole.key() = begin;
        hole.mapped() += size;
        free_.insert(next, std::move(hole));
        return;
    }
    try {
        free_.emplace_hint(after, begin, end - begin);
    } catch (const std::bad_alloc&) {
        // The block is lost to this arena, which costs no more than its pages.
    }
}

bool Arena::contains(std::size_t offset, std::size_t size) const noexcept {
    return offset >= page_size() && offset % granule == 0 && size <= segment_.size() &&
           offset <= segment_.size() - size;
}

}  // namespace mp::detail

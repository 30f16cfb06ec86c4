// SPDX-License-Identifier: BSL-1.0
#include "memory/heap.hpp"

#include "mp/errors.hpp"

#include <algorithm>

namespace mp::detail {

namespace {

// Virtual size: pages exist when they are touched.
constexpr std::size_t arena_room = std::size_t{16} << 20U;

constexpr std::size_t least_room = std::size_t{64} << 10U;

// Larger blocks get an arena of their own, which goes when they go.
constexpr std::size_t largest_shared = std::size_t{1} << 20U;

}  // namespace

Heap& Heap::instance() {
    // Never destroyed: blocks may be freed by static destructors.
    static auto& heap = *new Heap;
    return heap;
}

Heap::Place Heap::allocate(std::size_t size, std::size_t alignment) {
    if (size > largest_shared) {
        check_available_memory(size, "a block of shared memory");
    }
    ProcessTable& processes =
        ProcessTable::family();  // before the lock: it has a lock of its own
    const os::ForkLockHeld held(lock_);
    Place place;
    place.forks = os::fork_count();
    if (size > largest_shared) {
        place.arena = new_arena(size, processes);
        place.offset = place.arena->allocate(size, alignment).value();
        return place;
    }
    // In a forked child the arena is the parent's: what is free there is the parent's
    // to give.
    if (current_ && current_->is_own()) {
        if (const auto offset = current_->allocate(size, alignment)) {
            place.arena = current_;
            place.offset = *offset;
            return place;
        }
    }
    current_ = new_shared_arena(size, processes);
    place.arena = current_;
    place.offset = current_->allocate(size, alignment).value();
    return place;
}

void Heap::free(const Place& place, std::size_t size) noexcept {
    const os::ForkLockHeld held(lock_);
    if (place.arena->is_own() && place.forks == os::fork_count()) {
        place.arena->free(place.offset, size);
    }
}

std::shared_ptr<Arena> Heap::new_arena(std::size_t room, ProcessTable& processes) {
    auto arena = std::make_shared<Arena>(room, processes);
    remember(arena);
    return arena;
}

std::shared_ptr<Arena>
Heap::new_shared_arena(std::size_t size, ProcessTable& processes) {
    try {
        return new_arena(arena_room, processes);
    } catch (const ResourceLimitExceeded&) {
        // A limit on files or on the address space that leaves room for less.
        return new_arena(std::max(size, least_room), processes);
    }
}

std::shared_ptr<Arena> Heap::find(const Arena::Name& name) {
    for (const auto& weak : known_) {
        if (auto arena = weak.lock(); arena && arena->name() == name) {
            return arena;
        }
    }
    return nullptr;
}

void Heap::remember(const std::shared_ptr<Arena>& arena) {
    std::erase_if(known_, [](const auto& weak) { return weak.expired(); });
    known_.push_back(arena);
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/shared_block.hpp"

#include "mp/errors.hpp"

#include "data/spawning.hpp"
#include "memory/heap.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>

namespace mp::detail {

namespace {

constexpr std::size_t largest_alignment = 4096;

}  // namespace

struct SharedBlock::Record {
    Heap::Place place;
    std::size_t size = 0;
    std::atomic<bool> own;  ///< made by this process, and nobody else was given it

    Record(Heap::Place at, std::size_t bytes, bool made_here)
        : place(std::move(at)), size(bytes), own(made_here) {}

    Record(const Record&) = delete;
    Record& operator=(const Record&) = delete;

    ~Record() {
        if (own.load()) {
            Heap::instance().free(place, size);
        }
    }
};

SharedBlock::SharedBlock(std::shared_ptr<Record> record) noexcept
    : record_(std::move(record)),
      data_(record_->place.arena->at(record_->place.offset)),
      size_(record_->size),
      processes_(&record_->place.arena->processes()) {}

SharedBlock SharedBlock::allocate(std::size_t size, std::size_t alignment) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 ||
        alignment > largest_alignment) {
        throw std::invalid_argument(
            "shared memory cannot be aligned to " + std::to_string(alignment) + " bytes"
        );
    }
    return SharedBlock(
        std::make_shared<Record>(Heap::instance().allocate(size, alignment), size, true)
    );
}

void SharedBlock::throw_none(const char* what) {
    throw StateError(std::string(what) + " that was moved from cannot be used");
}

SharedBlock::Ticket SharedBlock::hand_over(const char* what) const {
    if (!record_) {
        throw StateError(std::string(what) + " that was moved from cannot travel");
    }
    const std::shared_ptr<Arena>& arena = record_->place.arena;
    const ProcessTable& processes = arena->processes();
    hand_over_block(arena, record_->place.offset, what);
    record_->own = false;
    // The table stays as long as this process.
    const TravelKey table(std::shared_ptr<void>(), &processes);
    return {
        .arena_fd = hand_over_once(arena, arena->fileno(), what),
        .table_fd = hand_over_once(table, processes.fileno(), what),
        .table_made_at = processes.name().made_at,
        .table_maker = processes.name().maker,
        .arena_number = arena->name().number,
        .offset = record_->place.offset,
        .size = size_,
    };
}

void SharedBlock::take_over(const Ticket& ticket) {
    const ProcessTable::Name family{
        .made_at = ticket.table_made_at, .maker = ticket.table_maker};
    ProcessTable* known = ProcessTable::find(family);
    ProcessTable& processes =
        known != nullptr ? *known
                         : ProcessTable::attach(detail::take_over(ticket.table_fd));
    Heap::Place place;
    place.offset = ticket.offset;
    place.arena = Heap::instance().received(
        {.family = family, .number = ticket.arena_number},
        [&] {
            return std::make_shared<Arena>(
                detail::take_over(ticket.arena_fd), processes
            );
        }
    );
    if (!place.arena->contains(ticket.offset, ticket.size)) {
        throw SerializationError(
            SerializationPhase::decode,
            "a block of " + std::to_string(ticket.size) + " bytes at " +
                std::to_string(ticket.offset) + " is not inside of its arena"
        );
    }
    *this = SharedBlock(std::make_shared<Record>(std::move(place), ticket.size, false));
}

}  // namespace mp::detail

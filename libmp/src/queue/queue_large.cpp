// SPDX-License-Identifier: BSL-1.0
// Large items: each has a block of its own in an area of the segment, used from front
// to back and again from the front. They are read where they stand; which process reads
// a block is written in it, so that the block of a reader that died is free.
#include "mp/detail/bytes.hpp"
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "os/failpoint.hpp"
#include "queue/queue_layout.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace mp::detail {
namespace {

/// New memory is compared with what there is, every so often.
constexpr std::uint64_t worth_a_look = 8UL << 20U;

/// The number of a block that only fills the end of the area.
constexpr std::uint64_t filler = ~std::uint64_t{0};

constexpr std::size_t header_bytes = large_alignment;
static_assert(sizeof(LargeHeader) <= header_bytes);

constexpr std::uint64_t room_for(std::uint64_t size) {
    return header_bytes + ((size + large_alignment - 1) & ~(large_alignment - 1));
}

}  // namespace

std::byte& QueueCore::large_area() const noexcept {
    const QueueControl& shared = control();
    return data_.data()[shared.first_chunk + shared.max_chunks * chunk_bytes];
}

LargeHeader& QueueCore::large_at(std::uint64_t offset) const noexcept {
    return *reinterpret_cast<LargeHeader*>(&large_area() + offset);
}

bool QueueCore::is_done_with(const LargeHeader& block) const noexcept {
    if (block.number == filler) {
        return true;
    }
    // order: acquire, pairs with get's commit: the reader was written before.
    if (block.number >= control().get_count.load(std::memory_order_acquire)) {
        return false;
    }
    // order: acquire, pairs with close_large(): its reads come before our writes.
    const std::uint32_t reader = block.reader.load(std::memory_order_acquire);
    return reader == LargeHeader::read || reader == 0 || processes().dead(reader);
}

void QueueCore::reclaim(PutEnd& end) noexcept {
    const std::uint64_t area = control().large_bytes;
    while (end.large_head != end.large_tail) {
        const LargeHeader& block = large_at(end.large_head);
        if (!is_done_with(block)) {
            return;
        }
        end.large_head += block.room;
        if (end.large_head >= area) {
            end.large_head = 0;
        }
    }
    // Empty: begin again at the front, where the memory is warm. The blocks behind it
    // stay as they are until this end counts: the next producer goes over them again if
    // we are killed before. See punch_large().
    end.large_head = 0;
    end.large_tail = 0;
}

/// Null when there is no room now.
LargeHeader* QueueCore::find_large_room(PutEnd& end, std::uint64_t room) {
    const std::uint64_t area = control().large_bytes;
    reclaim(end);
    const bool wrapped = end.large_tail < end.large_head;
    // The tail never reaches the head from behind: equal means empty.
    if (wrapped ? end.large_head - end.large_tail <= room
                : area - end.large_tail < room) {
        if (wrapped || end.large_head <= room) {
            return nullptr;
        }
        if (area - end.large_tail >= header_bytes) {
            LargeHeader& rest = large_at(end.large_tail);
            rest.number = filler;
            rest.room = area - end.large_tail;
        }
        end.large_tail = 0;
    }
    LargeHeader& block = large_at(end.large_tail);
    const std::uint64_t behind = end.large_tail + room;
    if (behind > end.large_touched) {
        if (behind / worth_a_look != end.large_touched / worth_a_look) {
            check_available_memory(behind - end.large_touched, "an item of a queue");
        }
        end.large_touched = behind;
        note_touched(end);
        // Known to the next producer, too: we may be killed while we fill it.
        control().valid_put_end().large_touched = behind;
    }
    end.large_tail = behind;
    return &block;
}

LargeHeader* QueueCore::place_large(PutEnd& end, std::span<const std::byte> message) {
    const std::uint64_t room = room_for(message.size());
    LargeHeader* const block = find_large_room(end, room);
    if (block != nullptr) {
        block->room = room;
        // order: relaxed, put's commit makes it known together with the item.
        block->reader.store(0, std::memory_order_relaxed);
        MP_FAILPOINT("put: has a large block");
        copy_block(
            reinterpret_cast<std::byte*>(block) + header_bytes,
            message.data(),
            message.size()
        );
        MP_FAILPOINT("put: filled a large block");
    }
    return block;
}

void QueueCore::open_large(std::span<const std::byte> reference, QueueItem& item) {
    LargeReference where{};
    if (reference.size() == sizeof where) {
        std::memcpy(&where, reference.data(), sizeof where);
    }
    const std::uint64_t area = control().large_bytes;
    if (where.offset % large_alignment != 0 || where.offset >= area ||
        where.size > area || room_for(where.size) > area - where.offset) {
        throw SerializationError(
            SerializationPhase::decode, "the memory of the queue is damaged"
        );
    }
    LargeHeader& block = large_at(where.offset);
    // order: relaxed, the release of the commit that follows is for this, too.
    block.reader.store(processes().self(), std::memory_order_relaxed);
    item.bytes_ = {
        reinterpret_cast<std::byte*>(&block) + header_bytes,
        static_cast<std::size_t>(where.size)};
    item.core_ = this;
    item.large_ = &block;
}

void QueueCore::close_large(LargeHeader& block) noexcept {
    // order: release, pairs with is_done_with(): the room may be written to from now
    // on.
    block.reader.store(LargeHeader::read, std::memory_order_release);
    QueueControl& shared = control();
    shared.large_read.fetch_add(1);
    shared.producers.wake_one();
    if (shared.is_worth_a_trim()) [[unlikely]] {
        trim();
    }
}

}  // namespace mp::detail

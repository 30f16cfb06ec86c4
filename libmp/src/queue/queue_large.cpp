// SPDX-License-Identifier: BSL-1.0
// Large items: each has a block of its own in an area of the segment, used from front
// to back and again from the front. They are read where they stand; which process reads
// a block is written in it, so that the block of a reader that died is free.
#include "mp/detail/bytes.hpp"
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "os/failpoint.hpp"
#include "os/private_copy.hpp"
#include "queue/queue_checks.hpp"
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

constexpr std::uint64_t room_for(std::uint64_t size) {
    return large_header_bytes + ((size + large_alignment - 1) & ~(large_alignment - 1));
}

}  // namespace

std::byte& QueueCore::large_area() const noexcept {
    return memory_[geometry_.first_chunk + geometry_.max_chunks * chunk_bytes];
}

LargeHeader& QueueCore::large_at(std::uint64_t offset) const noexcept {
    return *reinterpret_cast<LargeHeader*>(&large_area() + offset);
}

/// Requires: offset is below the size of the area, and aligned.
LargeBlock QueueCore::checked_block(std::uint64_t offset) const {
    const LargeBlock block = os::private_copy(large_at(offset).block);
    if (block.seal != block.right_seal(geometry_.key, offset) ||
        block.room < large_header_bytes || block.room % large_alignment != 0 ||
        block.room > geometry_.large_bytes - offset) [[unlikely]] {
        throw_damaged("the header of a large item");
    }
    return block;
}

bool QueueCore::is_done_with(const LargeBlock& block, const LargeHeader& where) const {
    if (block.number == filler) {
        return true;
    }
    // order: acquire, pairs with get's commit: the reader was written before.
    if (block.number >= control().get_count.load(std::memory_order_acquire)) {
        return false;
    }
    // order: acquire, pairs with close_large(): its reads come before our writes.
    const std::uint64_t word = where.reader.load(std::memory_order_acquire);
    const auto reader = static_cast<std::uint32_t>(word);
    if (word != LargeHeader::reader_word(geometry_.key, block.number, reader))
        [[unlikely]] {
        throw_damaged("who reads a large item");
    }
    return reader == LargeHeader::read || reader == 0 || processes().dead(reader);
}

/// Each step goes on by the room of a block, so no more of them are made than fit.
void QueueCore::reclaim(PutEnd& end) const {
    const std::uint64_t area = geometry_.large_bytes;
    std::uint64_t passed = 0;
    while (end.large_head != end.large_tail) {
        const LargeBlock block = checked_block(end.large_head);
        if (!is_done_with(block, large_at(end.large_head))) {
            return;
        }
        passed += block.room;
        if (passed > area) [[unlikely]] {
            throw_damaged("the order of the large items");
        }
        end.large_head += block.room;
        if (end.large_head >= area) {
            // A block that ended with the area has left the tail there.
            end.large_head = 0;
            if (end.large_tail >= area) {
                end.large_tail = 0;
            }
        }
    }
    // Empty: begin again at the front, where the memory is warm. The blocks stay as
    // they are until this end counts: the next producer goes over them again if we are
    // killed before. See reclaim_for_good(), punch_large().
    end.large_head = 0;
    end.large_tail = 0;
}

/// What is taken back counts before it is written to: otherwise the next producer would
/// find, if we are killed, our bytes where it looks for the headers of blocks.
void QueueCore::reclaim_for_good(PutEnd& end) const {
    const std::uint64_t head = end.large_head;
    const std::uint64_t tail = end.large_tail;
    reclaim(end);
    if (end.large_head != head || end.large_tail != tail) {
        count_trim(end);
        MP_FAILPOINT("put: took blocks back");
    }
}

/// Null when there is no room now.
LargeHeader* QueueCore::find_large_room(PutEnd& end, std::uint64_t room) {
    const std::uint64_t area = geometry_.large_bytes;
    check_rest(end);
    reclaim_for_good(end);
    const bool wrapped = end.large_tail < end.large_head;
    // The tail never reaches the head from behind: equal means empty.
    if (wrapped ? end.large_head - end.large_tail <= room
                : area - end.large_tail < room) {
        if (wrapped || end.large_head <= room) {
            return nullptr;
        }
        if (area - end.large_tail >= large_header_bytes) {
            LargeBlock rest{.number = filler, .room = area - end.large_tail, .seal = 0};
            rest.seal = rest.right_seal(geometry_.key, end.large_tail);
            large_at(end.large_tail).block = rest;
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
    seal_rest(end);
    return &block;
}

LargeHeader* QueueCore::place_large(
    PutEnd& end, std::uint64_t number, std::span<const std::byte> message
) {
    const std::uint64_t room = room_for(message.size());
    LargeHeader* const block = find_large_room(end, room);
    if (block != nullptr) {
        LargeBlock made{.number = number, .room = room, .seal = 0};
        made.seal = made.right_seal(geometry_.key, end.large_tail - room);
        block->block = made;
        // order: relaxed, put's commit makes it known together with the item.
        block->reader.store(
            LargeHeader::reader_word(geometry_.key, number, 0),
            std::memory_order_relaxed
        );
        MP_FAILPOINT("put: has a large block");
        copy_block(
            reinterpret_cast<std::byte*>(block) + large_header_bytes,
            message.data(),
            message.size()
        );
        MP_FAILPOINT("put: filled a large block");
    }
    return block;
}

void QueueCore::open_large(
    std::uint64_t number, std::span<const std::byte> reference, QueueItem& item
) {
    LargeReference where{};
    if (reference.size() == sizeof where) {
        where =
            os::private_copy(*reinterpret_cast<const LargeReference*>(reference.data())
            );
    }
    const std::uint64_t area = geometry_.large_bytes;
    if (where.seal != where.right_seal(geometry_.key, number) ||
        where.offset % large_alignment != 0 || where.offset >= area ||
        where.size > area || room_for(where.size) > area - where.offset) [[unlikely]] {
        throw_damaged("where a large item stands");
    }
    const LargeBlock block = checked_block(where.offset);
    if (block.number != number || block.room != room_for(where.size)) [[unlikely]] {
        throw_damaged("the header of a large item");
    }
    LargeHeader& header = large_at(where.offset);
    // An earlier reader was killed before its commit: otherwise the item was taken, and
    // the count put back.
    // order: relaxed, get_lock orders it.
    const std::uint64_t word = header.reader.load(std::memory_order_relaxed);
    const auto reader = static_cast<std::uint32_t>(word);
    if (word != LargeHeader::reader_word(geometry_.key, number, reader) ||
        reader == LargeHeader::read ||
        (reader != 0 && !processes().dead(reader, ProcessTable::Look::thorough)))
        [[unlikely]] {
        throw_damaged("who reads a large item");
    }
    const std::uint64_t mine =
        LargeHeader::reader_word(geometry_.key, number, processes().self());
    // order: relaxed, the release of the commit that follows is for this, too.
    header.reader.store(mine, std::memory_order_relaxed);
    item.bytes_ = {
        reinterpret_cast<std::byte*>(&header) + large_header_bytes,
        static_cast<std::size_t>(where.size)};
    item.core_ = this;
    item.large_ = &header;
    item.number_ = number;
    item.word_ = mine;
}

/// Only while this process stands there as the reader: else the room is another item's.
void QueueCore::close_large(
    LargeHeader& block, std::uint64_t number, std::uint64_t mine
) noexcept {
    // order: release, pairs with is_done_with(): the room may be written to from now
    // on.
    if (!block.reader.compare_exchange_strong(
            mine,
            LargeHeader::reader_word(geometry_.key, number, LargeHeader::read),
            std::memory_order_release,
            std::memory_order_relaxed
        )) [[unlikely]] {
        mark_damaged();
        return;
    }
    QueueControl& shared = control();
    shared.large_read.fetch_add(1);
    shared.producers.wake_one();
    if (is_worth_a_trim()) [[unlikely]] {
        trim();
    }
}

}  // namespace mp::detail

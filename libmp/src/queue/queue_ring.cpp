// SPDX-License-Identifier: BSL-1.0
// Where items stand: chunks of memory, one after the other, used again when their items
// were taken, given back to the system when there are many more of them than are
// needed.
#include "mp/detail/bytes.hpp"
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "queue/queue_layout.hpp"

#include <atomic>
#include <cstring>

namespace mp::detail {
namespace {

// Free chunks beyond those in use that are kept.
constexpr std::uint64_t spare_chunks = 8;

// New ones are compared with the memory there is, every so often.
constexpr std::uint64_t chunks_between_looks = 64;

constexpr std::size_t aligned(std::size_t size) {
    return (size + item_alignment - 1) & ~(item_alignment - 1);
}

[[noreturn]] void throw_damaged() {
    throw SerializationError(
        SerializationPhase::decode, "the memory of the queue is damaged"
    );
}

}  // namespace

// The tables stand before the chunks. That of the order is twice as long as there are
// chunks: a producer that dies must not have overwritten an entry that still counts.
std::uint32_t& QueueCore::chunk_in_order(std::uint64_t number) const noexcept {
    auto* const table = reinterpret_cast<std::uint32_t*>(data_.data());
    return table[number % (2 * control().max_chunks)];
}

std::uint32_t& QueueCore::retired_chunk(std::uint64_t index) const noexcept {
    auto* const table = reinterpret_cast<std::uint32_t*>(data_.data());
    return table[2 * control().max_chunks + index];
}

std::size_t QueueCore::offset_of_chunk(std::uint32_t id) const noexcept {
    return control().first_chunk + id * chunk_bytes;
}

/// For a producer: no consumer will read chunks before this one.
std::uint64_t QueueCore::first_chunk_in_use() const noexcept {
    QueueControl& shared = control();
    for (;;) {
        // The entry is overwritten only after the next commit, so an unchanged count
        // means that it was the right one.
        // order: acquire, pairs with get's commit.
        const std::uint64_t number = shared.get_count.load(std::memory_order_acquire);
        // order: relaxed, the fence keeps it before the second look at the count.
        const std::uint64_t chunk =
            shared.get_ends[number % 2].chunk.load(std::memory_order_relaxed);
        // order: acquire, pairs with take(), which writes an entry after the commit
        // before: if we saw the new chunk, we see that commit below.
        std::atomic_thread_fence(std::memory_order_acquire);
        // order: relaxed, the fence keeps it behind the entry.
        if (shared.get_count.load(std::memory_order_relaxed) == number) {
            return chunk;
        }
    }
}

bool QueueCore::next_chunk(PutEnd& end) {
    const std::uint64_t in_use = first_chunk_in_use();
    const std::uint64_t busy = end.chunk - in_use + 1;
    for (int i = 0; i < 2 && in_use - end.recycled > spare_chunks + busy; ++i) {
        const std::uint32_t id = chunk_in_order(end.recycled++);
        data_.punch_hole(offset_of_chunk(id), chunk_bytes);
        retired_chunk(end.retired++) = id;
    }
    std::uint32_t id = 0;
    if (end.recycled < in_use) {
        id = chunk_in_order(end.recycled++);
    } else if (end.retired > 0 || end.fresh < control().max_chunks) {
        if ((end.fresh - end.retired) % chunks_between_looks == 0) {
            check_available_memory(chunks_between_looks * chunk_bytes, "a queue");
        }
        id = end.retired > 0 ? retired_chunk(--end.retired)
                             : static_cast<std::uint32_t>(end.fresh++);
        note_touched(end);
    } else {
        return false;
    }
    ++end.chunk;
    end.offset = 0;
    chunk_in_order(end.chunk) = id;
    return true;
}

/// Room for a header and `size` bytes, in one chunk; null when there is none now.
std::byte* QueueCore::find_room(PutEnd& end, std::size_t size) {
    const std::size_t wanted = sizeof(ItemHeader) + aligned(size);
    const auto place = [&] {
        return data_.data() + offset_of_chunk(chunk_in_order(end.chunk)) + end.offset;
    };
    if (end.offset + wanted > chunk_bytes) {
        if (end.offset + sizeof(ItemHeader) <= chunk_bytes) {
            const ItemHeader mark{0, 0, ItemHeader::Kind::chunk_ends};
            std::memcpy(place(), &mark, sizeof mark);
        }
        if (!next_chunk(end)) {
            return nullptr;
        }
    }
    std::byte* const found = place();
    end.offset += wanted;
    return found;
}

/// Writes the item where no consumer looks yet. False when there is no room now.
bool QueueCore::place(
    PutEnd& end, std::uint64_t number, std::span<const std::byte> message
) {
    ItemHeader header{
        number, static_cast<std::uint32_t>(message.size()), ItemHeader::Kind::item};
    LargeReference reference{};
    if (message.size() > max_inline) {
        LargeHeader* const block = place_large(end, message);
        if (block == nullptr) {
            return false;
        }
        block->number = number;
        reference.offset = static_cast<std::uint64_t>(
            reinterpret_cast<std::byte*>(block) - &large_area()
        );
        reference.size = message.size();
        message = std::as_bytes(std::span(&reference, 1));
        header.kind = ItemHeader::Kind::large;
        header.size = sizeof reference;
    }
    std::byte* const room = find_room(end, message.size());
    if (room == nullptr) {
        return false;
    }
    MP_FAILPOINT("put: has room");
    std::memcpy(room, &header, sizeof header);
    if (!message.empty()) {
        copy_block(room + sizeof header, message.data(), message.size());
    }
    return true;
}

/// Reads the next item, and writes where the one after it stands.
void QueueCore::take(std::uint64_t number, QueueItem& item) {
    QueueControl& shared = control();
    const GetEnd& here = shared.get_ends[number % 2];
    // order: relaxed, get_lock orders it: the last holder wrote it.
    std::uint64_t chunk = here.chunk.load(std::memory_order_relaxed);
    std::uint64_t offset = here.offset;
    ItemHeader header{};
    const auto look = [&] {
        const std::byte* const place =
            data_.data() + offset_of_chunk(chunk_in_order(chunk)) + offset;
        std::memcpy(&header, place, sizeof header);
        return place + sizeof header;
    };
    const auto at_end = [&] {
        return offset + sizeof header > chunk_bytes;
    };
    if (offset % item_alignment != 0) {
        throw_damaged();
    }
    const std::byte* bytes = at_end() ? nullptr : look();
    if (bytes == nullptr || header.kind == ItemHeader::Kind::chunk_ends) {
        ++chunk;
        offset = 0;
        bytes = look();
    }
    if (header.number != number || header.size > chunk_bytes - sizeof header - offset) {
        throw_damaged();
    }
    offset += sizeof header + aligned(header.size);
    if (header.kind == ItemHeader::Kind::large) {
        open_large({bytes, header.size}, item);
    } else if (header.kind == ItemHeader::Kind::item) {
        copy_block(item.room(header.size).data(), bytes, header.size);
    } else {
        throw_damaged();
    }
    MP_FAILPOINT("get: read");
    if (joinable_) {
        // Before the commit: a thread that counts must never miss an item that is under
        // way.
        add_to_account(1);
    }
    GetEnd& next = shared.get_ends[(number + 1) % 2];
    // order: release, pairs with the fence in first_chunk_in_use(): a producer that
    // sees this chunk sees the commit before it, and so that its count is out of date.
    next.chunk.store(chunk, std::memory_order_release);
    next.offset = offset;
}

}  // namespace mp::detail

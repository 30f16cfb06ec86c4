// SPDX-License-Identifier: BSL-1.0
// Where items stand: chunks of memory, one after the other, used again when their items
// were taken, given back to the system when there are many more of them than are
// needed.
#include "mp/detail/bytes.hpp"
#include "mp/detail/queue_core.hpp"

#include "os/failpoint.hpp"
#include "queue/queue_checks.hpp"
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

/// An entry of a table of chunks: the chunk, and whose entry it is.
constexpr unsigned chunk_id_bits = 20;

constexpr std::uint64_t entry_for(std::uint64_t place, std::uint32_t id) {
    return seal::closed(place << chunk_id_bits | id);
}

}  // namespace

// The tables stand before the chunks. That of the order is twice as long as there are
// chunks: a producer that dies must not have overwritten an entry that still counts.
std::uint64_t& QueueCore::chunk_entry(std::uint64_t number) const noexcept {
    auto* const table = reinterpret_cast<std::uint64_t*>(memory_);
    // max_chunks is a power of two, and a division takes longer than all else here.
    return table[number & (2 * geometry_.max_chunks - 1)];
}

std::uint64_t& QueueCore::retired_entry(std::uint64_t index) const noexcept {
    auto* const table = reinterpret_cast<std::uint64_t*>(memory_);
    return table[2 * geometry_.max_chunks + index];
}

/// Zeroed memory says that chunk 0 is the first one in order.
std::uint32_t QueueCore::chunk_in_order(std::uint64_t number) const {
    const std::uint64_t entry = seal::opened(chunk_entry(number));
    const auto id = static_cast<std::uint32_t>(entry & ((1U << chunk_id_bits) - 1));
    if (entry >> chunk_id_bits != number || id >= geometry_.max_chunks) [[unlikely]] {
        throw_damaged("its table of chunks");
    }
    return id;
}

/// Requires: index < retired <= max_chunks.
std::uint32_t QueueCore::retired_chunk(std::uint64_t index) const {
    const std::uint64_t entry = seal::opened(retired_entry(index));
    const auto id = static_cast<std::uint32_t>(entry & ((1U << chunk_id_bits) - 1));
    if (entry >> chunk_id_bits != index + 1 || id >= geometry_.max_chunks)
        [[unlikely]] {
        throw_damaged("its table of free chunks");
    }
    return id;
}

void QueueCore::retire_chunk(PutEnd& end, std::uint32_t id) const noexcept {
    retired_entry(end.retired) = entry_for(end.retired + 1, id);
    ++end.retired;
}

std::size_t QueueCore::offset_of_chunk(std::uint32_t id) const noexcept {
    return geometry_.first_chunk + id * chunk_bytes;
}

/// For a producer: no consumer will read chunks before this one.
std::uint64_t QueueCore::first_chunk_in_use(const PutEnd& end) const {
    QueueControl& shared = control();
    for (;;) {
        // The entry is overwritten only after the next commit, so an unchanged count
        // means that it was the right one.
        // order: acquire, pairs with get's commit.
        const std::uint64_t number = shared.get_count.load(std::memory_order_acquire);
        const GetEnd& entry = shared.get_ends[number % 2];
        // order: relaxed, the fence keeps all three before the second look at the
        // count.
        const GetPlace place{
            entry.chunk.load(std::memory_order_relaxed),
            entry.offset.load(std::memory_order_relaxed)};
        // order: relaxed, as above.
        const std::uint64_t found = entry.seal.load(std::memory_order_relaxed);
        // order: acquire, pairs with take(), which writes an entry after the commit
        // before: if we saw a new word, we see that commit below.
        std::atomic_thread_fence(std::memory_order_acquire);
        // order: relaxed, the fence keeps it behind the entry.
        if (shared.get_count.load(std::memory_order_relaxed) == number) {
            if (found != place.right_seal(geometry_.key, number) ||
                place.chunk > end.chunk || place.chunk < end.recycled) {
                throw_damaged("the end where items are taken");
            }
            return place.chunk;
        }
    }
}

bool QueueCore::next_chunk(PutEnd& end) {
    check_rest(end);
    const std::uint64_t in_use = first_chunk_in_use(end);
    const std::uint64_t busy = end.chunk - in_use + 1;
    for (int i = 0; i < 2 && in_use - end.recycled > spare_chunks + busy; ++i) {
        const std::uint32_t id = chunk_in_order(end.recycled++);
        data_.punch_hole(offset_of_chunk(id), chunk_bytes);
        retire_chunk(end, id);
    }
    std::uint32_t id = 0;
    if (end.recycled < in_use) {
        id = chunk_in_order(end.recycled++);
    } else if (end.retired > 0 || end.fresh < geometry_.max_chunks) {
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
    seal_rest(end);
    chunk_entry(end.chunk) = entry_for(end.chunk, id);
    return true;
}

/// Room for a header and `size` bytes, in one chunk; null when there is none now.
std::byte* QueueCore::find_room(PutEnd& end, std::uint64_t number, std::size_t size) {
    const std::size_t wanted = sizeof(ItemHeader) + aligned(size);
    const auto place = [&] {
        return memory_ + offset_of_chunk(chunk_in_order(end.chunk)) + end.offset;
    };
    if (end.offset + wanted > chunk_bytes) {
        if (end.offset + sizeof(ItemHeader) <= chunk_bytes) {
            ItemHeader mark{0, 0, ItemHeader::Kind::chunk_ends};
            mark.seal = mark.right_seal(geometry_.key, number);
            std::memcpy(place(), &mark, sizeof mark);
        }
        if (!next_chunk(end)) {
            return nullptr;
        }
    }
    std::byte* const found = place();
    end.offset += static_cast<std::uint32_t>(wanted);
    return found;
}

/// Writes the item where no consumer looks yet. False when there is no room now.
bool QueueCore::place(
    PutEnd& end, std::uint64_t number, std::span<const std::byte> message
) {
    ItemHeader header{
        0, static_cast<std::uint32_t>(message.size()), ItemHeader::Kind::item};
    LargeReference reference{};
    if (message.size() > max_inline) {
        LargeHeader* const block = place_large(end, number, message);
        if (block == nullptr) {
            return false;
        }
        reference.offset = static_cast<std::uint64_t>(
            reinterpret_cast<std::byte*>(block) - &large_area()
        );
        reference.size = message.size();
        reference.seal = reference.right_seal(geometry_.key, number);
        message = std::as_bytes(std::span(&reference, 1));
        header.kind = ItemHeader::Kind::large;
        header.size = sizeof reference;
    }
    std::byte* const room = find_room(end, number, message.size());
    if (room == nullptr) {
        return false;
    }
    MP_FAILPOINT("put: has room");
    header.seal = header.right_seal(geometry_.key, number);
    std::memcpy(room, &header, sizeof header);
    if (!message.empty()) {
        copy_block(room + sizeof header, message.data(), message.size());
    }
    return true;
}

/// Reads the next item, and writes where the one after it stands.
void QueueCore::take(std::uint64_t number, QueueItem& item) {
    QueueControl& shared = control();
    const GetPlace here = checked_get_end(number);
    std::uint64_t chunk = here.chunk;
    std::uint64_t offset = here.offset;
    ItemHeader header{};
    const auto look = [&] {
        const std::byte* const place =
            memory_ + offset_of_chunk(chunk_in_order(chunk)) + offset;
        const volatile auto& found = *reinterpret_cast<const ItemHeader*>(place);
        header.seal = found.seal;
        header.size = found.size;
        header.kind = found.kind;
        if (header.seal != header.right_seal(geometry_.key, number) ||
            header.size > chunk_bytes - sizeof header - offset) [[unlikely]] {
            throw_damaged("the header of an item");
        }
        return place + sizeof header;
    };
    const std::byte* bytes = offset + sizeof header > chunk_bytes ? nullptr : look();
    if (bytes == nullptr || header.kind == ItemHeader::Kind::chunk_ends) {
        ++chunk;
        offset = 0;
        bytes = look();
    }
    offset += sizeof header + aligned(header.size);
    if (header.kind == ItemHeader::Kind::large) {
        open_large(number, {bytes, header.size}, item);
    } else if (header.kind == ItemHeader::Kind::item) {
        copy_block(item.room(header.size).data(), bytes, header.size);
    } else {
        throw_damaged("the header of an item");
    }
    MP_FAILPOINT("get: read");
    if (geometry_.joinable) {
        // Before the commit: a thread that counts must never miss an item that is under
        // way.
        add_to_account(1);
    }
    const GetPlace behind{chunk, offset};
    GetEnd& next = shared.get_ends[(number + 1) % 2];
    // order: release, pairs with the fence in first_chunk_in_use(): a producer that
    // sees this chunk sees the commit before it, and so that its count is out of date.
    next.chunk.store(chunk, std::memory_order_release);
    // order: release, as above.
    next.offset.store(offset, std::memory_order_release);
    // order: release, as above.
    next.seal.store(
        behind.right_seal(geometry_.key, number + 1), std::memory_order_release
    );
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// CallItem and ResultItem: what travels to a worker and back, as it stands in shared
// memory. What stays in the parent is a BoardTask. Each item has a sum of what it says
// and for whom it is: one that was written over, or belongs to another task, is told
// from the right one. Messages in arenas, which may be long, are not summed up.
// Python:  concurrent.futures.process._CallItem, _ResultItem (and _WorkItem).
#pragma once

#include "mp/detail/bytes.hpp"

#include "process_pool/item_sum.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace futures::detail {

/// A message that does not stand here but in an arena.
struct BlockReference {
    std::uint64_t offset;
    std::uint64_t size;
};

/// Where the bytes of a message stand.
enum class MessagePlace : std::uint8_t {
    item,   ///< in the item
    slot,   ///< of a result: in the slot of its task
    arena,  ///< the item's bytes begin with a BlockReference
};

/// A call, on its way to a worker; in a slot.
struct CallItem {
    /// What a ByteWriter keeps itself; what is longer grew into an arena.
    static constexpr std::size_t capacity = mp::detail::ByteWriter::inline_size;

    std::uint32_t sum;
    std::uint8_t length;
    MessagePlace place;
    std::array<std::byte, capacity> bytes;

    /// Requires: it is private, a copy. Whether it is what was written for the task at
    /// that position.
    bool is_right(std::uint64_t of_position) const noexcept;
};

static_assert(CallItem::capacity <= 255, "a length is one byte");

/// The sum of a call for the task at that position.
inline std::uint32_t call_sum(
    std::uint64_t position, MessagePlace place, std::span<const std::byte> bytes
) noexcept {
    const auto says =
        std::uint64_t{bytes.size()} << 8U | static_cast<std::uint64_t>(place);
    return ItemSum(position, 0, says).of(bytes);
}

inline bool CallItem::is_right(std::uint64_t of_position) const noexcept {
    const bool possible =
        place == MessagePlace::slot
            ? length <= capacity
            : place == MessagePlace::arena && length == sizeof(BlockReference);
    return possible && sum == call_sum(of_position, place, {bytes.data(), length});
}

enum class ResultKind : std::uint8_t { value, exception };

/// A result, on its way back; in its worker's ring.
struct alignas(32) ResultItem {
    static constexpr std::size_t capacity = 16;

    /// Of what an initializer threw, which is no task's.
    static constexpr std::uint64_t of_initializer = ~std::uint64_t{0};

    std::uint64_t position;  ///< of the task
    std::uint32_t sum;
    std::uint8_t length;
    ResultKind kind;
    MessagePlace place;
    std::array<std::byte, capacity> bytes;
};

static_assert(sizeof(ResultItem) == 32);

/// Where a result stands, which its sum covers: that entry of a worker's ring.
struct RingPlace {
    std::uint32_t worker;
    std::uint64_t entry;
};

/// The sum of a result with these bytes. What it says itself is read from `item`.
inline std::uint32_t result_sum(
    const ResultItem& item, RingPlace in, std::span<const std::byte> bytes
) noexcept {
    const auto says = std::uint64_t{in.worker} << 32U |
                      std::uint64_t{item.length} << 16U |
                      static_cast<std::uint64_t>(item.kind) << 8U |
                      static_cast<std::uint64_t>(item.place);
    return ItemSum(item.position, ~in.entry, says).of(bytes);
}

}  // namespace futures::detail

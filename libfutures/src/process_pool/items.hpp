// SPDX-License-Identifier: BSL-1.0
// CallItem and ResultItem: what travels to a worker and back, as it stands in shared
// memory. What stays in the parent is a BoardTask.
// Python:  concurrent.futures.process._CallItem, _ResultItem (and _WorkItem).
#pragma once

#include "mp/detail/bytes.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

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

    std::uint32_t length;
    MessagePlace place;
    std::array<std::byte, capacity> bytes;
};

enum class ResultKind : std::uint8_t { value, exception };

/// A result, on its way back; in its worker's ring.
struct alignas(32) ResultItem {
    static constexpr std::size_t capacity = 16;

    std::uint64_t position;  ///< of the task
    std::uint32_t length;
    ResultKind kind;
    MessagePlace place;
    std::array<std::byte, capacity> bytes;
};

static_assert(sizeof(ResultItem) == 32);

}  // namespace futures::detail

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
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
    arena,  ///< the item's bytes are a BlockReference
};

/// What is said of a call beside its message.
struct CallAbout {
    static constexpr std::uint16_t most_attempts = 0x7fff;

    std::uint16_t attempt : 15;     ///< 1 for the first; no more than most_attempts
    std::uint16_t has_trailer : 1;  ///< its message ends with a CallTrailer
};

static_assert(sizeof(CallAbout) == 2);

/// A call, on its way to a worker; in a slot.
struct CallItem {
    /// What a ByteWriter keeps itself; what is longer grew into an arena.
    static constexpr std::size_t capacity = mp::detail::ByteWriter::inline_size;

    std::uint32_t sum;
    CallAbout about;
    std::uint8_t length;
    MessagePlace place;
    std::array<std::byte, capacity> bytes;
};

static_assert(CallItem::capacity <= 255, "a length is one byte");

/// Copies a call of so many bytes into an item, or out of it. Returns its sum, with
/// which it is for the task at that position.
inline std::uint32_t copy_call(
    std::byte* to,
    const std::byte* from,
    std::size_t length,
    MessagePlace place,
    std::uint64_t position,
    CallAbout about = {}
) noexcept {
    ItemSum sum(position);
    sum.add(
        std::uint64_t{std::bit_cast<std::uint16_t>(about)} << 16U |
        std::uint64_t{length} << 8U | static_cast<std::uint64_t>(place)
    );
    sum.add_copying(to, from, length);
    return sum.value();
}

/// What stands in an item.
struct CallCopy {
    CallAbout about;
    std::uint8_t length;
    MessagePlace place;
    std::array<std::byte, CallItem::capacity> bytes;

    std::span<const std::byte> message() const noexcept {
        return {bytes.data(), length};
    }

    /// Requires: it stands in an arena.
    BlockReference block() const noexcept {
        BlockReference reference{};
        std::memcpy(&reference, bytes.data(), sizeof reference);
        return reference;
    }
};

/// Copies first, then checks: nobody changes it between the two. False if this is not
/// what was written for the task at that position.
inline bool
copy_call(CallCopy& to, const CallItem& item, std::uint64_t position) noexcept {
    const std::uint8_t length = copied(item.length);
    const MessagePlace place = copied(item.place);
    to.about = copied(item.about);
    to.length = length;
    to.place = place;
    const bool possible =
        place == MessagePlace::slot
            ? length <= CallItem::capacity
            : place == MessagePlace::arena && length == sizeof(BlockReference);
    return possible &&
           copied(item.sum) ==
               copy_call(
                   to.bytes.data(), item.bytes.data(), length, place, position, to.about
               );
}

enum class ResultKind : std::uint8_t {
    value,
    exception,
    stopped,  ///< an exception, because the call was asked to stop
};

/// A result, on its way back; in its worker's ring.
struct alignas(32) ResultItem {
    static constexpr std::size_t capacity = 16;

    using Words = std::array<std::uint64_t, capacity / 8>;

    /// What it says of its message.
    struct Shape {
        std::uint64_t length;
        ResultKind kind;
        MessagePlace place;
    };

    /// Of what an initializer threw, which is no task's.
    static constexpr std::uint64_t of_initializer = ~std::uint64_t{0};

    std::uint64_t position;  ///< of the task
    std::uint32_t sum;
    std::uint8_t length;
    ResultKind kind;
    MessagePlace place;
    Words words;  ///< its bytes, then zeros

    Shape shape() const noexcept { return {length, kind, place}; }

    std::span<const std::byte> bytes() const noexcept {
        return std::as_bytes(std::span(words));
    }

    /// Requires: it stands in an arena.
    BlockReference block() const noexcept { return {words[0], words[1]}; }
};

static_assert(sizeof(ResultItem) == 32);

/// At most 8 bytes as a word, with zeros behind them.
inline std::uint64_t padded_word(const std::byte* at, std::size_t size) noexcept {
    std::uint64_t word = 0;
    if (size == 8) {
        std::memcpy(&word, at, 8);
    } else if (size == 4) {  // as often
        std::uint32_t half = 0;
        std::memcpy(&half, at, 4);
        word = half;
    } else {
        std::memcpy(&word, at, size);
    }
    return word;
}

/// Where a result stands, which its sum covers: that entry of a worker's ring.
struct RingPlace {
    std::uint32_t worker;
    std::uint64_t entry;
};

/// The sum of a result, but for what stands in a slot.
inline ItemSum sum_of(
    std::uint64_t position,
    RingPlace in,
    ResultItem::Shape shape,
    const ResultItem::Words& words
) noexcept {
    ItemSum sum(position);
    sum.add(in.entry);
    sum.add(
        std::uint64_t{in.worker} << 32U | shape.length << 16U |
        static_cast<std::uint64_t>(shape.kind) << 8U |
        static_cast<std::uint64_t>(shape.place)
    );
    sum.add(words[0]);
    sum.add(words[1]);
    return sum;
}

inline ItemSum sum_of(const ResultItem& item, RingPlace in) noexcept {
    return sum_of(item.position, in, item.shape(), item.words);
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// shareable_layout: the bytes of a ShareableList. Any program may write into them at
// any time, so every number is read once and checked before it is used.
//
//     0            int64          how many items, N
//     8            int64[N + 1]   where each begins in the data; the last: D, its end
//     8 (N + 2)    byte[D]        the data
//     + D          char[N][8]     each item's struct format, filled up with NUL
//     + 8 N        int8[N]        0 number or bool, 1 str, 2 bytes, 3 None
#pragma once

#include "mp/shareable_list.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace mp::detail {

struct ShareableLayout {
    std::size_t count = 0;      ///< N
    std::size_t data_size = 0;  ///< D

    std::size_t size() const noexcept;

    /// Of a list that holds these at first. Throws std::invalid_argument for a value
    /// that cannot be kept.
    static ShareableLayout of(std::span<const ShareableItem> items);

    /// Of a list in memory. Throws std::invalid_argument when it is none.
    static ShareableLayout in(std::span<const std::byte> memory);

    /// Writes a new list.
    void write(std::span<std::byte> memory, std::span<const ShareableItem> items) const;

    /// Requires: position < count, memory.size() >= size().
    /// Throws std::invalid_argument when the item has been damaged.
    ShareableItem get(std::span<const std::byte> memory, std::size_t position) const;
    void
    set(std::span<std::byte> memory, std::size_t position, const ShareableItem& value
    ) const;
    std::string format(std::span<const std::byte> memory, std::size_t position) const;

private:
    struct Slot {
        std::size_t begin = 0;  ///< from the start of the memory
        std::size_t size = 0;
    };

    Slot slot(std::span<const std::byte> memory, std::size_t position) const;
    std::size_t formats_begin() const noexcept;
    std::size_t codes_begin() const noexcept;
};

}  // namespace mp::detail

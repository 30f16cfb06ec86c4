// SPDX-License-Identifier: BSL-1.0
// RoomAhead: how much memory the elements of a message may take before their bytes have
// been read. A message may claim any number; it gets room for as many as its own bytes
// could be, and for more as they arrive.
// Python:  none, because pickle appends each object as it comes.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <cstddef>

namespace mp::detail {

/// What one message may have ahead, all its containers together.
class RoomAhead {
public:
    /// The bytes of the message that are left to read. Most values are not that much
    /// larger than their bytes, so that their containers need not grow; those that are
    /// do.
    explicit RoomAhead(std::size_t bytes) noexcept
        : left_(std::max(bytes, least) * times) {}

    static constexpr std::size_t least = 4096;
    static constexpr std::size_t times = 16;

    /// The room of one container, given back when it is full or given up.
    class Share {
    public:
        /// For `count` elements of `size` bytes each, as far as there is room; a small
        /// container gets it anyway.
        Share(RoomAhead& room, std::size_t count, std::size_t size) noexcept
            : room_(room),
              elements_(std::min(count, std::max(room.left_, least) / size)),
              bytes_(std::min(elements_ * size, room.left_)) {
            room_.left_ -= bytes_;
        }

        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

        ~Share() { room_.left_ += bytes_; }

        /// How many elements have room.
        std::size_t elements() const noexcept { return elements_; }

    private:
        RoomAhead& room_;
        std::size_t elements_;
        std::size_t bytes_;
    };

private:
    std::size_t left_;
};

/// The next step of a container that is full: twice as many as have arrived, `count` at
/// most.
inline std::size_t next_room(std::size_t arrived, std::size_t count) noexcept {
    return std::min(count, std::max<std::size_t>(2 * arrived, 1));
}

}  // namespace mp::detail

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

/// How many bytes the vectors of a graph have to take, so that there is room ahead for
/// all their elements, and none moves while others are read that point to it. Both
/// sides count alike: what is missing stands behind the elements.
class RoomNeeded {
public:
    /// One vector, with those that stand in it.
    class Scope {
    public:
        /// Of `count` elements of `size` bytes each, which begin at `position`.
        Scope(
            RoomNeeded& needed,
            std::size_t count,
            std::size_t size,
            std::size_t position
        )
            : needed_(needed), before_(needed.bytes_), begin_(position) {
            needed_.bytes_ += count / RoomAhead::times * size +
                              (count % RoomAhead::times * size + RoomAhead::times - 1) /
                                  RoomAhead::times;
        }

        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
        ~Scope() = default;

        /// Between `position` and what is needed.
        std::size_t missing(std::size_t position) const noexcept {
            const std::size_t needed = needed_.bytes_ - before_;
            const std::size_t there = position - begin_;
            return needed > there ? needed - there : 0;
        }

    private:
        RoomNeeded& needed_;
        std::size_t before_;
        std::size_t begin_;
    };

private:
    std::size_t bytes_ = 0;
};

/// The next step of a container that is full: twice as many as have arrived, `count` at
/// most.
inline std::size_t next_room(std::size_t arrived, std::size_t count) noexcept {
    return std::min(count, std::max<std::size_t>(2 * arrived, 1));
}

}  // namespace mp::detail

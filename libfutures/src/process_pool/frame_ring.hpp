// SPDX-License-Identifier: BSL-1.0
// FrameRing: messages of any length from one process to another, through a ring of
// bytes in shared memory. docs/protocols/nested_submission.md is its protocol.
// Each side keeps for itself how far it is, and believes of the other side's word only
// what can be. A frame has a sum over its number and its bytes. A writer that is killed
// in the middle of a frame leaves what nobody takes for one.
// Threads: one writer and one reader at a time.
#pragma once

#include "process_pool/board_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace futures::detail {

/// What stands before the bytes of a frame.
struct FrameHead {
    std::uint64_t size;
    std::uint32_t sum;
    std::uint32_t unused;
};

class FrameWriter {
public:
    explicit FrameWriter(FrameRing& ring) noexcept : ring_(ring) {}

    /// Begins a frame of these bytes, which live until it is written.
    void begin(std::span<const std::byte> frame) noexcept;

    /// Writes as much as there is room for; true once the frame is all there.
    bool go_on() noexcept;

    /// The reader says that it has read what cannot be.
    bool is_damaged() const noexcept { return damaged_; }

    /// Says that room is waited for. False: there is some by now.
    bool want_room() noexcept;

private:
    std::size_t room() noexcept;
    bool put(std::span<const std::byte> all, std::size_t& done) noexcept;

    FrameRing& ring_;
    std::uint64_t written_ = 0;
    std::uint64_t frames_ = 0;
    FrameHead head_{};
    std::span<const std::byte> frame_;
    std::size_t head_done_ = 0;
    std::size_t frame_done_ = 0;
    bool damaged_ = false;
};

class FrameReader {
public:
    /// No frame is longer than `longest`.
    FrameReader(FrameRing& ring, std::uint64_t longest) noexcept
        : ring_(ring), longest_(longest) {}

    enum class Look : std::uint8_t { frame, nothing, damaged };

    /// Whether there is something to read.
    bool any() const noexcept;

    /// The next frame, if it is all there; what is there of it is kept. Throws
    /// std::bad_alloc.
    Look next(std::vector<std::byte>& frame);

    /// After next() read something: whether the writer waits for room, and forgets it.
    bool take_room_wanted() noexcept;

private:
    bool get(std::byte* to, std::size_t size, std::size_t& done) noexcept;

    FrameRing& ring_;
    const std::uint64_t longest_;
    std::uint64_t read_ = 0;
    std::uint64_t available_ = 0;  ///< up to here may be read
    std::uint64_t frames_ = 0;
    FrameHead head_{};
    std::size_t head_done_ = 0;
    std::vector<std::byte> frame_;
    std::size_t frame_done_ = 0;
    bool damaged_ = false;
};

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// MessageHead, FrameBytes: what travels between the master and the ranks that serve. A
// frame is a head and a payload: an encoded call, or what it wrote.
// Threads: values; one at a time.
#pragma once

#include "futures/detail/board_task.hpp"
#include "futures/detail/recycle.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace futures::detail {

enum class FrameKind : std::uint16_t {
    // To a rank.
    open = 1,   ///< an executor: OpenExecutor, then its initializer
    call,       ///< a task
    stop_task,  ///< end a task that runs
    close,      ///< the executor is over
    end,        ///< serve no more
    // To the master.
    opened,     ///< the executor is ready
    refused,    ///< it is not: an exception
    broken,     ///< its workers there do not go on: an exception
    value,      ///< what a task wrote
    exception,  ///< what it threw
    stopped,    ///< the same, because it was asked to end
    lost,       ///< the same, because its worker process ended
    closed,     ///< the executor's workers have ended
};

/// What stands before each payload. Both sides are runs of one program, on machines
/// that keep numbers alike: it travels as it is.
struct MessageHead {
    static constexpr std::uint32_t mark = 0x4d50'4946;

    static constexpr std::uint16_t has_trailer =
        1;  ///< of a call: a CallTrailer ends it

    std::uint32_t marked = mark;
    FrameKind kind = FrameKind::end;
    std::uint16_t flags = 0;
    std::uint32_t executor = 0;
    std::uint32_t attempt = 1;
    std::uint64_t task = 0;
    std::uint64_t length = 0;  ///< of the payload
    /// Of a call: its limit, the grace, and how long its worker may live on, in
    /// nanoseconds. Of an answer: how long it took.
    std::int64_t limit = 0;
    std::int64_t grace = 0;
    std::int64_t kill_after = 0;
    /// Of a call: how many workers have been lost to it so far, and how many of these
    /// because its time was up. Of an answer: with this one.
    std::uint32_t losses = 0;
    std::uint32_t time_outs = 0;
};

static_assert(sizeof(MessageHead) == 64);

/// What an executor is to be at a rank.
struct OpenExecutor {
    std::uint32_t is_isolated = 0;
    std::uint32_t workers = 0;  ///< of each rank, if it is; 0: as many as fit
    std::uint32_t members = 0;  ///< how many ranks serve it, from the first one on
    std::uint32_t unused = 0;
};

/// Memory for a frame, which is used again. A message in a task may stand in it.
class FrameBytes {
public:
    FrameBytes() noexcept = default;

    /// Throws std::bad_alloc.
    explicit FrameBytes(std::size_t size)
        : memory_(size == 0 ? nullptr : static_cast<std::byte*>(recycled_new(size))),
          size_(size) {}

    FrameBytes(FrameBytes&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}

    FrameBytes& operator=(FrameBytes&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }

    FrameBytes(const FrameBytes&) = delete;
    FrameBytes& operator=(const FrameBytes&) = delete;

    ~FrameBytes() {
        if (memory_ != nullptr) {
            recycled_delete(memory_, size_);
        }
    }

    std::byte* data() const noexcept { return memory_; }

    std::size_t size() const noexcept { return size_; }

    std::span<std::byte> bytes() const noexcept { return {memory_, size_}; }

private:
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
};

/// Such memory as what a Block stands in.
class FrameArena final : public MessageArena {
public:
    explicit FrameArena(FrameBytes bytes) noexcept : bytes_(std::move(bytes)) {}

    void give_back(std::uint64_t /*offset*/, std::uint64_t /*size*/) noexcept override {
        // It goes with its only block.
    }

    std::byte* memory() const noexcept override { return bytes_.data(); }

private:
    FrameBytes bytes_;
};

/// A message of its own in `bytes`, of which so many count. Throws std::bad_alloc.
inline Block block_of(FrameBytes bytes, std::uint64_t offset, std::uint64_t size) {
    return {std::make_shared<FrameArena>(std::move(bytes)), offset, size};
}

}  // namespace futures::detail

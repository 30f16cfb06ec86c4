// SPDX-License-Identifier: BSL-1.0
#include "process_pool/frame_ring.hpp"

#include "os/fence.hpp"
#include "process_pool/item_sum.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace futures::detail {

namespace {

std::uint32_t
sum_of_frame(std::uint64_t number, std::span<const std::byte> frame) noexcept {
    ItemSum sum(number);
    sum.add(frame.size());
    std::array<std::byte, 256> copy;
    for (std::size_t at = 0; at < frame.size();) {
        const std::size_t size = std::min(copy.size(), frame.size() - at);
        sum.add_copying(copy.data(), frame.data() + at, size);
        at += size;
    }
    return sum.value();
}

}  // namespace

// ---- FrameWriter

void FrameWriter::begin(std::span<const std::byte> frame) noexcept {
    head_ = {frame.size(), sum_of_frame(frames_++, frame), 0};
    frame_ = frame;
    head_done_ = 0;
    frame_done_ = 0;
}

bool FrameWriter::go_on() noexcept {
    const bool all = put(std::as_bytes(std::span(&head_, 1)), head_done_) &&
                     put(frame_, frame_done_);
    // order: pairs with FrameReader::next(), so that the bytes are seen.
    ring_.written.store(written_, std::memory_order_release);
    return all;
}

std::size_t FrameWriter::room() noexcept {
    // order: pairs with FrameReader::get(): what it has read is written over after
    // that.
    const std::uint64_t used = written_ - ring_.read.load(std::memory_order_acquire);
    if (used > FrameRing::capacity) {
        damaged_ = true;
        return 0;
    }
    return FrameRing::capacity - used;
}

/// Copies what there is room for; true when `done` is all.
bool FrameWriter::put(std::span<const std::byte> all, std::size_t& done) noexcept {
    std::size_t left = std::min(room(), all.size() - done);
    while (left > 0) {
        const std::size_t at = written_ % FrameRing::capacity;
        const std::size_t size = std::min(left, FrameRing::capacity - at);
        std::memcpy(ring_.bytes.data() + at, all.data() + done, size);
        written_ += size;
        done += size;
        left -= size;
    }
    return done == all.size();
}

bool FrameWriter::want_room() noexcept {
    // Sequentially consistent with take_room_wanted(): the reader has stored how far it
    // is, then looks at this; we store this, then look how far it is.
    ring_.room_wanted.store(1);
    return written_ - ring_.read.load() >= FrameRing::capacity;
}

// ---- FrameReader

bool FrameReader::any() const noexcept {
    // order: a hint; next() looks with the order it needs.
    return !damaged_ && ring_.written.load(std::memory_order_relaxed) != read_;
}

FrameReader::Look FrameReader::next(std::vector<std::byte>& frame) {
    if (damaged_) {
        return Look::damaged;
    }
    // order: pairs with FrameWriter::go_on(), so that the bytes are seen.
    available_ = ring_.written.load(std::memory_order_acquire);
    damaged_ = available_ - read_ > FrameRing::capacity;
    if (damaged_) {
        return Look::damaged;
    }
    auto* const head = reinterpret_cast<std::byte*>(&head_);
    if (head_done_ < sizeof head_) {
        if (!get(head, sizeof head_, head_done_)) {
            return Look::nothing;
        }
        frame_done_ = 0;
        frame_.clear();
        damaged_ = head_.size > longest_;
        if (damaged_) {
            return Look::damaged;
        }
    }
    // No more memory than has come: the size is only said.
    const std::size_t there =
        std::min<std::uint64_t>(head_.size - frame_done_, available_ - read_);
    frame_.resize(frame_done_ + there);
    get(frame_.data(), frame_.size(), frame_done_);
    if (frame_done_ < head_.size) {
        return Look::nothing;
    }
    head_done_ = 0;
    frame = std::exchange(frame_, {});
    damaged_ = sum_of_frame(frames_++, frame) != head_.sum;
    return damaged_ ? Look::damaged : Look::frame;
}

bool FrameReader::get(std::byte* to, std::size_t size, std::size_t& done) noexcept {
    while (done < size && read_ < available_) {
        const std::size_t at = read_ % FrameRing::capacity;
        const std::size_t part = std::min<std::uint64_t>(
            {size - done, FrameRing::capacity - at, available_ - read_}
        );
        std::memcpy(to + done, ring_.bytes.data() + at, part);
        read_ += part;
        done += part;
    }
    // order: pairs with FrameWriter::room(): these bytes may be written over.
    ring_.read.store(read_, std::memory_order_release);
    return done == size;
}

bool FrameReader::take_room_wanted() noexcept {
    mp::os::full_fence();
    return ring_.room_wanted.load() != 0 && ring_.room_wanted.exchange(0) != 0;
}

}  // namespace futures::detail

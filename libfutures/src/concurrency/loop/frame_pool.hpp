// SPDX-License-Identifier: BSL-1.0
// FramePool: free blocks of a loop, by size.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace concurrency::detail {

/// Blocks come from operator new in whole steps, so one may be taken from one pool, or
/// from none, and given to another. Used by one thread at a time: the loop's executor
/// is serial.
class FramePool {
public:
    FramePool() noexcept = default;
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;
    ~FramePool();

    void* take(std::size_t size) {
        const std::size_t kind = steps(size);
        if (kind <= sizes) {
            Shelf& shelf = shelves_[kind];
            if (shelf.first != nullptr) [[likely]] {
                Free* frame = shelf.first;
                shelf.first = frame->next;
                shelf.bytes -= kind * step;
                return frame;
            }
        }
        return allocate(size);
    }

    void give(void* frame, std::size_t size) noexcept {
        const std::size_t kind = steps(size);
        if (kind <= sizes) {
            Shelf& shelf = shelves_[kind];
            if (shelf.bytes < most) [[likely]] {
                shelf.first = new (frame) Free{shelf.first};
                shelf.bytes += kind * step;
                return;
            }
        }
        release(frame);
    }

    /// Without a pool.
    static void* allocate(std::size_t size);
    static void release(void* frame) noexcept;

private:
    static constexpr std::size_t step = 32;
    static constexpr std::size_t sizes = 64;  // up to 2 KiB; larger ones are not kept
    static constexpr std::size_t most = 256 * 1024;  // bytes that blocks of a size have

    static std::size_t steps(std::size_t size) noexcept {
        return (size + step - 1) / step;
    }

    struct Free {
        Free* next;
    };

    struct Shelf {
        Free* first = nullptr;
        std::size_t bytes = 0;
    };

    std::array<Shelf, sizes + 1> shelves_;
};

}  // namespace concurrency::detail

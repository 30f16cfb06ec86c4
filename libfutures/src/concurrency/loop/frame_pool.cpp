// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/frame_pool.hpp"

#include <new>

namespace concurrency::detail {

FramePool::~FramePool() {
    for (Shelf& shelf : shelves_) {
        while (shelf.first != nullptr) {
            Free* next = shelf.first->next;
            release(shelf.first);
            shelf.first = next;
        }
    }
}

void* FramePool::take(std::size_t size) {
    if (steps(size) <= sizes) {
        Shelf& shelf = shelves_[steps(size)];
        if (shelf.first != nullptr) {
            Free* frame = shelf.first;
            shelf.first = frame->next;
            --shelf.count;
            return frame;
        }
    }
    return allocate(size);
}

void FramePool::give(void* frame, std::size_t size) noexcept {
    if (steps(size) <= sizes) {
        Shelf& shelf = shelves_[steps(size)];
        if (shelf.count * steps(size) < most) {
            shelf.first = new (frame) Free{shelf.first};
            ++shelf.count;
            return;
        }
    }
    release(frame);
}

void* FramePool::allocate(std::size_t size) {
    return ::operator new(steps(size) * step);
}

void FramePool::release(void* frame) noexcept {
    ::operator delete(frame);
}

}  // namespace concurrency::detail

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

void* FramePool::allocate(std::size_t size) {
    return ::operator new(steps(size) * step);
}

void FramePool::release(void* frame) noexcept {
    ::operator delete(frame);
}

}  // namespace concurrency::detail

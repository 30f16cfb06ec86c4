// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/frame_memory.hpp"

#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/running.hpp"

namespace concurrency::detail {

[[gnu::noinline]] void* take_frame(std::size_t size) {
    Loop* loop = running_here().loop;
    return loop != nullptr ? loop->frames().take(size) : FramePool::allocate(size);
}

[[gnu::noinline]] void give_frame(void* frame, std::size_t size) noexcept {
    Loop* loop = running_here().loop;
    if (loop != nullptr) {
        loop->frames().give(frame, size);
    } else {
        FramePool::release(frame);
    }
}

}  // namespace concurrency::detail

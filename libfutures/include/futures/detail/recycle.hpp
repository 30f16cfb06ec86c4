// SPDX-License-Identifier: BSL-1.0
// Memory for tasks: kept for the next one, because a task's memory is taken in one
// thread and given back in another, which is what malloc does worst.
// Python:  none, because its objects have free lists of their own.
// Differs: nothing to differ from.
// Threads: any.  Owns: up to 64 MB of free blocks.
#pragma once

#include <cstddef>
#include <new>

namespace futures::detail {

/// Aligned as operator new does. Throws std::bad_alloc.
void* recycled_new(std::size_t size);
void recycled_delete(void* block, std::size_t size) noexcept;

/// A base for what is to use that memory.
class Recycled {
public:
    static void* operator new(std::size_t size) { return recycled_new(size); }

    static void* operator new(std::size_t size, std::align_val_t alignment) {
        return ::operator new(size, alignment);
    }

    static void operator delete(void* block, std::size_t size) noexcept {
        recycled_delete(block, size);
    }

    static void
    operator delete(void* block, std::size_t, std::align_val_t alignment) noexcept {
        ::operator delete(block, alignment);
    }
};

}  // namespace futures::detail

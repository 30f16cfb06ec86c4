// SPDX-License-Identifier: BSL-1.0
// Allocations that fail when a test says so, in the thread that says it: operator new,
// and what Boost.Asio calls. For programs of one source (ALONE), which this replaces
// the allocator of.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <malloc.h>
#include <new>
#include <utility>

namespace test {

/// How many allocations of this thread succeed until some fail; negative: all do.
inline thread_local long until_refusal = -1;
/// How many fail then, one after the other.
inline thread_local long refusals = 1;
/// Whether one has.
inline thread_local bool refused = false;

inline bool is_refused() {
    if (until_refusal < 0) {
        return false;
    }
    if (until_refusal > 0) {
        --until_refusal;
        return false;
    }
    refused = true;
    if (--refusals <= 0) {
        until_refusal = -1;
    }
    return true;
}

inline void* allocate(std::size_t size, std::size_t alignment) {
    void* memory = nullptr;
    if (!is_refused()) {
        memory = alignment <= alignof(std::max_align_t) ? std::malloc(size)
                                                        : memalign(alignment, size);
    }
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

/// While it lives, allocations succeed.
class Plenty {
public:
    Plenty() : before_(std::exchange(until_refusal, -1)) {}

    Plenty(const Plenty&) = delete;
    Plenty& operator=(const Plenty&) = delete;

    ~Plenty() { until_refusal = before_; }

private:
    const long before_;
};

}  // namespace test

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) {
    return test::allocate(size, 1);
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return test::is_refused() ? nullptr : std::malloc(size);
}

void* operator new(std::size_t size, std::align_val_t alignment) {
    return test::allocate(size, static_cast<std::size_t>(alignment));
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::align_val_t) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
    std::free(memory);
}

// NOLINTEND(misc-new-delete-overloads)

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// By which Boost.Asio has what its executors hold.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    return test::is_refused() ? nullptr : memalign(alignment, size);
}
#endif

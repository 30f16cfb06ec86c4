// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/heap_mutex.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/robust_mutex.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace mp::detail {

namespace {

// No allocation takes so long: a process that holds the lock has been stopped inside.
constexpr time_t max_hold_seconds = 10;

/// A lock that this thread has, how often, and where it stood at first in the list of
/// those that the thread has.
struct HeldHeap {
    const HeapMutex* mutex = nullptr;
    os::MutexLinks links;
    unsigned depth = 0;
    pid_t holder = 0;  ///< the thread; not the one that a fork makes of it
};

/// One inside the other: what is constructed in one heap may use another.
thread_local std::array<HeldHeap, 8> held_heaps;

/// Of that lock; of none: a free place. Null when there is none.
HeldHeap* find_held(const HeapMutex* mutex) noexcept {
    auto* const found =
        std::find_if(held_heaps.begin(), held_heaps.end(), [&](const HeldHeap& held) {
            return held.mutex == mutex;
        });
    return found == held_heaps.end() ? nullptr : found;
}

[[noreturn]] void throw_not_taken(int error) {
    if (error == ENOTRECOVERABLE) {
        throw DamagedError("a process has written over the lock of this heap: nothing "
                           "more can be allocated from it");
    }
    if (error == EOWNERDEAD) {
        throw OwnerDied("a process was killed while it changed this heap, which may be "
                        "half-changed: nothing more can be allocated from it");
    }
    if (error == ETIMEDOUT) {
        throw TimeoutError("a process that uses this heap has been stopped inside");
    }
    os::throw_error(error, "pthread_mutex_clocklock");
}

}  // namespace

HeapMutex::HeapMutex() : mutex_() {
    os::init_robust_mutex(mutex_, os::MutexKind::recursive);
}

int HeapMutex::take() noexcept {
    if (!os::is_intact(mutex_, os::MutexKind::recursive)) {
        return ENOTRECOVERABLE;
    }
    int error = ::pthread_mutex_trylock(&mutex_);
    if (error == EBUSY) {
        timespec end{};
        ::clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += max_hold_seconds;
        error = ::pthread_mutex_clocklock(&mutex_, CLOCK_MONOTONIC, &end);
    }
    if (error == EOWNERDEAD) {
        broken_ = 1;
        ::pthread_mutex_consistent(&mutex_);
        error = 0;
    }
    if (error == 0) {
        HeldHeap* held = find_held(this);
        if (held != nullptr && held->holder == ::gettid()) {
            ++held->depth;
        } else {
            held = held == nullptr ? find_held(nullptr) : held;
            if (held != nullptr) {
                *held = {this, os::links_of(mutex_), 1, ::gettid()};
            }
        }
    }
    if (error == 0 && broken()) {
        unlock();
        return EOWNERDEAD;
    }
    return error;
}

void HeapMutex::lock() {
    if (const int error = take(); error != 0) {
        throw_not_taken(error);
    }
}

bool HeapMutex::lock_quietly() noexcept {
    return take() == 0;
}

bool HeapMutex::try_lock() {
    // A lock that is held for long is an error here anyway.
    lock();
    return true;
}

void HeapMutex::unlock() noexcept {
    HeldHeap* const held = find_held(this);
    if (held == nullptr) {
        // There was no room to note it; or it is another process's, as in a child that
        // was forked while it was held.
        if (os::holder_of(mutex_) == ::gettid()) {
            os::unlock_at_thread_end(mutex_, os::MutexKind::recursive);
        }
        return;
    }
    if (held->holder == ::gettid()) {
        os::unlock_with_links(
            mutex_, os::MutexKind::recursive, held->links, held->depth
        );
    }
    if (--held->depth == 0) {
        *held = {};
    }
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/heap_mutex.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/robust_mutex.hpp"

#include <cerrno>
#include <ctime>

namespace mp::detail {

namespace {

// No allocation takes so long: a process that holds the lock has been stopped inside.
constexpr time_t max_hold_seconds = 10;

/// Where the lock that this thread took last stands in the list of those that it has.
thread_local os::MutexLinks held_links;

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
        held_links = os::links_of(mutex_);
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
    os::unlock_with_links(mutex_, os::MutexKind::recursive, held_links);
}

}  // namespace mp::detail

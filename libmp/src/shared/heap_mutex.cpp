// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/heap_mutex.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"

#include <cerrno>
#include <ctime>

namespace mp::detail {

namespace {

// No allocation takes so long: whoever holds the lock has been stopped inside.
constexpr time_t max_hold_seconds = 10;

void check_number(int error, const char* what) {
    if (error != 0) {
        os::throw_error(error, what);
    }
}

struct Attributes {
    Attributes() {
        check_number(::pthread_mutexattr_init(&value), "pthread_mutexattr_init");
        ::pthread_mutexattr_setpshared(&value, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&value, PTHREAD_MUTEX_ROBUST);
        ::pthread_mutexattr_settype(&value, PTHREAD_MUTEX_RECURSIVE);
    }

    ~Attributes() { ::pthread_mutexattr_destroy(&value); }

    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;

    pthread_mutexattr_t value{};
};

[[noreturn]] void throw_not_taken(int error) {
    if (error == EOWNERDEAD) {
        throw OwnerDied("a process was killed while it changed this heap, which may be "
                        "half-changed: "
                        "nothing more can be allocated from it");
    }
    if (error == ETIMEDOUT) {
        throw TimeoutError("a process that uses this heap has been stopped inside");
    }
    os::throw_error(error, "pthread_mutex_clocklock");
}

}  // namespace

HeapMutex::HeapMutex() : mutex_() {
    const Attributes attributes;
    check_number(
        ::pthread_mutex_init(&mutex_, &attributes.value), "pthread_mutex_init"
    );
}

int HeapMutex::take() noexcept {
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
    if (error == 0 && broken()) {
        ::pthread_mutex_unlock(&mutex_);
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
    // A lock that is held for longer than a moment is an error here anyway.
    lock();
    return true;
}

void HeapMutex::unlock() noexcept {
    ::pthread_mutex_unlock(&mutex_);
}

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
#include "os/robust_mutex.hpp"

#include "os/check.hpp"

#include <linux/futex.h>

namespace mp::os {

namespace {

void check_number(int error, const char* what) {
    if (error != 0) {
        throw_error(error, what);
    }
}

struct Attributes {
    Attributes() {
        check_number(::pthread_mutexattr_init(&value), "pthread_mutexattr_init");
        ::pthread_mutexattr_setpshared(&value, PTHREAD_PROCESS_SHARED);
        ::pthread_mutexattr_setrobust(&value, PTHREAD_MUTEX_ROBUST);
    }

    ~Attributes() { ::pthread_mutexattr_destroy(&value); }

    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;

    pthread_mutexattr_t value{};
};

}  // namespace

void init_robust_mutex(pthread_mutex_t& mutex, MutexKind kind) {
    Attributes attributes;
    if (kind == MutexKind::recursive) {
        ::pthread_mutexattr_settype(&attributes.value, PTHREAD_MUTEX_RECURSIVE);
    }
    check_number(::pthread_mutex_init(&mutex, &attributes.value), "pthread_mutex_init");
}

MutexState state_of(const pthread_mutex_t& mutex) noexcept {
    // Two members of a union of glibc's: the word that the kernel marks.
    // order: acquire, pairs with the unlock of the thread that held it last, so that
    // what was written before is seen.
    const auto word = static_cast<std::uint32_t>(
        __atomic_load_n(&mutex.__data.__lock, __ATOMIC_ACQUIRE)
    );
    if ((word & FUTEX_OWNER_DIED) != 0) {
        return MutexState::owner_died;
    }
    return (word & FUTEX_TID_MASK) != 0 ? MutexState::held : MutexState::free;
}

}  // namespace mp::os

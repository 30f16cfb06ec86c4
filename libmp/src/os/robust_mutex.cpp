// SPDX-License-Identifier: BSL-1.0
#include "os/robust_mutex.hpp"

#include "os/check.hpp"

#include <linux/futex.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

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

namespace {

/// What glibc writes into a mutex of that kind.
int number_of(MutexKind kind) {
    static const auto number = [](MutexKind of) {
        pthread_mutex_t sample{};
        init_robust_mutex(sample, of);
        const int found = sample.__data.__kind;
        ::pthread_mutex_destroy(&sample);
        return found;
    };
    static const int plain = number(MutexKind::plain);
    static const int recursive = number(MutexKind::recursive);
    return kind == MutexKind::plain ? plain : recursive;
}

/// Links lead to the second word of a node; its lowest bit is glibc's.
std::uintptr_t address_in(std::uintptr_t link) noexcept {
    return link & ~std::uintptr_t{1};
}

std::uintptr_t address_in(const void* link) noexcept {
    return address_in(reinterpret_cast<std::uintptr_t>(link));
}

/// Whether the word at an address, which may be none, leads to that node. Where the
/// kernel is not allowed to look, glibc is believed.
bool leads_to(std::uintptr_t address, std::uintptr_t node) noexcept {
    std::uintptr_t word = 0;
    iovec mine{.iov_base = &word, .iov_len = sizeof word};
    iovec theirs{.iov_base = reinterpret_cast<void*>(address), .iov_len = sizeof word};
    const auto size = ::process_vm_readv(::getpid(), &mine, 1, &theirs, 1, 0);
    if (size < 0) {
        return last_error().value() != EFAULT;
    }
    return size == sizeof word && address_in(word) == node;
}

/// Whether the neighbours of the mutex in its thread's list say that they are.
bool is_linked(const pthread_mutex_t& mutex) noexcept {
    const std::uintptr_t node = address_in(&mutex.__data.__list.__next);
    const std::uintptr_t before = address_in(mutex.__data.__list.__prev);
    const std::uintptr_t behind = address_in(mutex.__data.__list.__next);
    return leads_to(before, node) && leads_to(behind - sizeof(std::uintptr_t), node);
}

}  // namespace

bool is_intact(const pthread_mutex_t& mutex, MutexKind kind) noexcept {
    const volatile int& found = mutex.__data.__kind;
    return found == number_of(kind);
}

pid_t holder_of(const pthread_mutex_t& mutex) noexcept {
    // order: relaxed, the caller looks at the state, too.
    const auto word = static_cast<std::uint32_t>(
        __atomic_load_n(&mutex.__data.__lock, __ATOMIC_RELAXED)
    );
    return static_cast<pid_t>(word & FUTEX_TID_MASK);
}

void unlock_at_thread_end(pthread_mutex_t& mutex, MutexKind kind) noexcept {
    if (is_intact(mutex, kind) && holder_of(mutex) == ::gettid() && is_linked(mutex)) {
        ::pthread_mutex_unlock(&mutex);
        return;
    }
    // order: release, as an unlock.
    __atomic_store_n(&mutex.__data.__lock, 0, __ATOMIC_RELEASE);
}

MutexLinks links_of(const pthread_mutex_t& mutex) noexcept {
    return {.before = mutex.__data.__list.__prev, .behind = mutex.__data.__list.__next};
}

void unlock_with_links(
    pthread_mutex_t& mutex, MutexKind kind, const MutexLinks& links, unsigned depth
) noexcept {
    auto& list = mutex.__data.__list;
    const bool in_place = list.__prev == links.before && list.__next == links.behind;
    // Another neighbour, which the thread has locked since then, knows this one, too.
    if ((!in_place && !is_linked(mutex)) || mutex.__data.__count != depth ||
        !is_intact(mutex, kind) || holder_of(mutex) != ::gettid()) [[unlikely]] {
        list.__prev =
            static_cast<decltype(list.__prev)>(const_cast<void*>(links.before));
        list.__next =
            static_cast<decltype(list.__next)>(const_cast<void*>(links.behind));
        mutex.__data.__kind = number_of(kind);
        mutex.__data.__owner = ::gettid();
        mutex.__data.__count = depth;
        // order: relaxed, the unlock that follows orders it.
        __atomic_store_n(&mutex.__data.__lock, ::gettid(), __ATOMIC_RELAXED);
    }
    ::pthread_mutex_unlock(&mutex);
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

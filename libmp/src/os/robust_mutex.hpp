// SPDX-License-Identifier: BSL-1.0
// robust_mutex: mutexes in shared memory that do not stay locked when a process dies:
// the kernel marks those that a thread held when it ended.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>

namespace mp::os {

enum class MutexKind : std::uint8_t { plain, recursive };

/// Throws std::system_error.
void init_robust_mutex(pthread_mutex_t& mutex, MutexKind kind);

enum class MutexState : std::uint8_t {
    free,
    held,
    owner_died,  ///< the thread that held it has ended, and nobody has taken it since
};

/// What the kernel and glibc have written into the mutex, without locking it.
MutexState state_of(const pthread_mutex_t& mutex) noexcept;

/// The thread that holds it, as its word says; 0 when none does.
pid_t holder_of(const pthread_mutex_t& mutex) noexcept;

/// Whether it is still a mutex of that kind: of one that was overwritten glibc would
/// believe that it is another kind, and follow what it finds there.
bool is_intact(const pthread_mutex_t& mutex, MutexKind kind) noexcept;

/// Unlocks what the calling thread holds. glibc takes the mutex out of a list whose
/// links stand in the mutex itself: when they were overwritten, the mutex becomes free
/// and stays in the list, which is good enough for a thread that is about to end.
void unlock_at_thread_end(pthread_mutex_t& mutex, MutexKind kind) noexcept;

/// The links of a mutex that the calling thread has just locked.
struct MutexLinks {
    const void* before = nullptr;
    const void* behind = nullptr;
};

MutexLinks links_of(const pthread_mutex_t& mutex) noexcept;

/// Unlocks a mutex that the calling thread has locked `depth` times: its kind and its
/// depth are what they were then, whatever was written over them, and so are its links,
/// unless it has other neighbours by now.
void unlock_with_links(
    pthread_mutex_t& mutex, MutexKind kind, const MutexLinks& links, unsigned depth
) noexcept;

}  // namespace mp::os

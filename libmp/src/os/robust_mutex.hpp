// SPDX-License-Identifier: BSL-1.0
// robust_mutex: mutexes in shared memory that do not stay locked when a process dies:
// the kernel marks those that a thread held when it ended.
#pragma once

#include <pthread.h>

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

}  // namespace mp::os

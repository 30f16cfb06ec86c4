// SPDX-License-Identifier: BSL-1.0
// What runs in this thread. Asked for by functions only: a coroutine may be resumed in
// another thread, and must not keep a thread's own address.
#pragma once

#include "concurrency/detail/loop_task.hpp"

#include <atomic>
#include <cstdint>

namespace concurrency::detail {

struct Running {
    Loop* loop = nullptr;
    LoopTask* task = nullptr;
    // In a thread that a task has called: whether the call is to end. Else null.
    const std::atomic<bool>* call_is_cancelled = nullptr;
};

// Each await comes here. It is initialised before anything runs, so that nobody asks
// whether it is; and it is small enough for the room that there always is for a library
// which is loaded late, so that no call has to find it.
extern constinit thread_local Running running_in_thread
    __attribute__((tls_model("initial-exec")));
extern constinit std::atomic<std::uint64_t> fork_count;

/// Of this thread; valid until the next coroutine is resumed.
inline Running& running_here() noexcept {
    return running_in_thread;
}

/// How often this process is the child of a fork: 0 before any loop was there to see
/// it.
inline std::uint64_t fork_generation() noexcept {
    // order: none needed, it changes only in the child of a fork, which has one thread.
    return fork_count.load(std::memory_order_relaxed);
}

/// Counts forks from now on.
void watch_forks();

}  // namespace concurrency::detail

// SPDX-License-Identifier: BSL-1.0
// What runs in this thread. Asked for by functions only: a coroutine may be resumed in
// another thread, and must not keep a thread's own address.
#pragma once

#include "concurrency/detail/loop_task.hpp"

#include <cstdint>

namespace concurrency::detail {

struct Running {
    Loop* loop = nullptr;
    LoopTask* task = nullptr;
};

/// Of this thread; valid until the next coroutine is resumed.
Running& running_here() noexcept;

/// How often this process is the child of a fork: 0 before any loop was there to see
/// it.
std::uint64_t fork_generation() noexcept;

/// Counts forks from now on.
void watch_forks();

}  // namespace concurrency::detail

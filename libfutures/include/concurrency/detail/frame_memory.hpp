// SPDX-License-Identifier: BSL-1.0
// Memory for coroutine frames and tasks, which a loop keeps for the next ones.
// Python:  none, because its objects have free lists of their own.
// Differs: nothing to differ from.
// Threads: any. The blocks that are kept belong to the loop that runs in this thread,
//          whose tasks run one at a time; outside a loop none are kept.
#pragma once

#include <cstddef>

namespace concurrency::detail {

/// Throws std::bad_alloc.
void* take_frame(std::size_t size);

/// `size` is what take_frame() was asked for, in whatever thread.
void give_frame(void* frame, std::size_t size) noexcept;

}  // namespace concurrency::detail

// SPDX-License-Identifier: BSL-1.0
// full_fence: orders what stands before it with what stands behind it, for two sides of
// which each stores one word and then looks at the other's: at least one sees the
// other.
#pragma once

#include "os/sanitized.hpp"

#include <atomic>

namespace mp::os {

/// A full fence, which the thread sanitizer understands, too.
inline void full_fence() noexcept {
    if constexpr (under_tsan) {
        static std::atomic<int> word{0};
        word.fetch_add(0);
    } else {
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
}

}  // namespace mp::os

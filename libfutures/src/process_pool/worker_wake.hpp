// SPDX-License-Identifier: BSL-1.0
// worker_wake: how the parent, and a worker that leaves work behind, wake a worker.
#pragma once

#include "process_pool/board_layout.hpp"

#include <cstdint>

namespace futures::detail {

/// Ends the sleep of this worker, or its next one at once.
void wake_worker(const BoardView& view, std::uint32_t worker) noexcept;

/// Takes one bit out of `sleepers` and wakes that worker; false when none sleeps.
bool wake_one_worker(const BoardView& view) noexcept;

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// pool_depth: how many process pools this process is inside of, and what that means for
// one that is made here.
#pragma once

#include "futures/executor.hpp"

#include <cstdint>

namespace futures::detail {

/// 0 in a process that is no worker; 1 in a worker of a pool that was made there.
std::uint32_t pool_depth() noexcept;

/// In a worker, before its first task.
void set_pool_depth(std::uint32_t depth) noexcept;

/// Throws mp::StateError if a pool that is made here would be one too many: a task that
/// makes a pool whose tasks make a pool would go on for ever.
void check_depth(Count most);

/// A pool's share of the processors: what a whole tree of pools has is what one has.
std::uint32_t default_workers() noexcept;

}  // namespace futures::detail

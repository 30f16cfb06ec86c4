// SPDX-License-Identifier: BSL-1.0
// pool_depth: how many process pools this process is inside of.
#pragma once

#include <cstdint>

namespace futures::detail {

/// 0 in a process that is no worker; 1 in a worker of a pool that was made there.
std::uint32_t pool_depth() noexcept;

/// In a worker, before its first task.
void set_pool_depth(std::uint32_t depth) noexcept;

}  // namespace futures::detail

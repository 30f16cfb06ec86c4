// SPDX-License-Identifier: BSL-1.0
// wiped_memory: memory that a child finds empty, by whatever kind of fork it was made:
// for what a process knows of itself alone.
#pragma once

#include <cstddef>

namespace mp::os {

/// `size` bytes, all zero, and zero again in every child, also in one of a bare
/// clone(2). They stay to the end of the process. Throws std::system_error.
void* memory_wiped_at_fork(std::size_t size);

}  // namespace mp::os

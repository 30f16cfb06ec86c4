// SPDX-License-Identifier: BSL-1.0
// child_main: the child's side of a start by spawn or forkserver.
// See docs/protocols/child_start.md.
#pragma once

#include "mp/fd.hpp"

namespace mp::detail {

/// Receives over `socket` what this child is to be, and runs it; leaves by exit().
[[noreturn]] void run_child(UniqueFd socket);

}  // namespace mp::detail

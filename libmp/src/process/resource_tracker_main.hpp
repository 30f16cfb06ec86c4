// SPDX-License-Identifier: BSL-1.0
// resource_tracker_main: the tracker's side. One thread, nothing of the program's data.
// See docs/protocols/resource_tracker.md.
#pragma once

#include "mp/fd.hpp"

namespace mp::detail {

/// Keeps the list until the other end of `socket` is closed everywhere and nothing on
/// it is left to remove; leaves by exit(), with CPython's status: 0, 1 when something
/// was left behind, 2 when it could not be removed, 3 after a message that is none.
[[noreturn]] void run_resource_tracker(UniqueFd socket);

}  // namespace mp::detail

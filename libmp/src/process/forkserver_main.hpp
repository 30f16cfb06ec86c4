// SPDX-License-Identifier: BSL-1.0
// forkserver_main: the fork server's side. One thread, no locks, nothing of the
// program's data: a fork of it is clean. See docs/protocols/forkserver.md.
#pragma once

#include "mp/fd.hpp"

namespace mp::detail {

/// Serves until the other end of `socket` is closed; leaves by exit(), in the children
/// too.
[[noreturn]] void run_fork_server(UniqueFd socket);

}  // namespace mp::detail

// SPDX-License-Identifier: BSL-1.0
// tracker_sockets: the connections to resource trackers that this process has open, for
// itself or on their way to somebody. No forked child keeps a copy, whichever thread
// forks and when: what its parent may have the tracker do, it must not.
// Threads: any.
#pragma once

#include "mp/fd.hpp"

#include <utility>

namespace mp::detail {

/// Ours and the tracker's, which learns from the kernel who sends. Throws
/// std::system_error.
std::pair<UniqueFd, UniqueFd> make_tracker_connection();

/// The same for one that this process was given.
void list_tracker_socket(int socket);

/// In a forked child, first thing: closes the parent's, but for that one.
void close_tracker_sockets_of_parent(int kept) noexcept;

}  // namespace mp::detail

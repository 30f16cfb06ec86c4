// SPDX-License-Identifier: BSL-1.0
// poll: waits for descriptors until a Deadline. Signals do not end a wait, descriptor
// numbers have no upper limit (unlike select), and a deadline in the past asks without
// blocking.
#pragma once

#include "mp/timeout.hpp"

#include <poll.h>

#include <span>

namespace mp::os {

/// How many of `fds` are ready (see their `revents`); 0 when the deadline passed.
/// Throws std::system_error.
int poll(std::span<pollfd> fds, const Deadline& deadline);

/// Whether reading does not block: data, end of file and errors all count. False when
/// the deadline passed. Throws std::system_error(EBADF) when `fd` is not open.
bool wait_readable(int fd, const Deadline& deadline);

/// The same for an answer that is likely to come at once: looks for a while before it
/// sleeps, because a wake-up takes longer than many an answer.
bool wait_soon_readable(int fd, const Deadline& deadline);

/// Only the looking. False when it is time to sleep.
bool soon_readable(int fd, const Deadline& deadline) noexcept;

/// Whether writing does not block; a reader that is gone counts too.
bool wait_writable(int fd, const Deadline& deadline);

}  // namespace mp::os

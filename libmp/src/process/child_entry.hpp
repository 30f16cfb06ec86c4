// SPDX-License-Identifier: BSL-1.0
// child_entry: whom a run of the program believes that it is a child. Its arguments and
// its environment are its caller's choice, and what comes over its socket says what
// code it runs.
#pragma once

namespace mp::detail {

/// Has this process no rights but those of its caller? One that has others
/// (set-user-id, set-group-id, capabilities of the file) is nobody's child.
bool may_be_child() noexcept;

/// Returns if the other end of `socket` is this process's parent and of the same user,
/// and this process may be a child. Otherwise says why on stderr and ends the process
/// with exit code 1; nothing has been read from the socket then.
void leave_unless_child_of(int socket) noexcept;

/// Says so and ends the process, if it may not be a child.
void leave_unless_may_be_child() noexcept;

}  // namespace mp::detail

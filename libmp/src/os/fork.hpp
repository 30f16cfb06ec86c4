// SPDX-License-Identifier: BSL-1.0
// fork: the rules for a child that is a copy of this process.
//
// fork() copies one thread. Whatever another thread held at that moment is held for
// ever in the child. So every registry of the library that a lock guards is replaced in
// the child by a fresh one, by a handler registered here, before any other code of the
// library runs there.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mp::os {

/// `handler` runs first thing in every child of fork() of this program, also of the
/// application's own forks. Registered once a process family; at most 16.
void on_fork_in_child(void (*handler)());

/// glibc's fork(), after the standard streams were flushed so that no text is written
/// twice. Throws std::system_error.
pid_t fork_process();

/// In a handler of on_fork_in_child(): is it fork_process() that forks, and not the
/// program itself?
bool forking_a_process() noexcept;

/// The names of the threads of this process, the calling one left out.
std::vector<std::string> other_threads();

/// Points standard input at /dev/null, as in every child.
void close_standard_input() noexcept;

/// Makes a closed standard stream (0, 1, 2) open on /dev/null, so that no descriptor of
/// ours lands there.
void fill_standard_streams() noexcept;

}  // namespace mp::os

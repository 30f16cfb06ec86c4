// SPDX-License-Identifier: BSL-1.0
// fork: the rules for a child that is a copy of this process.
//
// fork() copies one thread. A lock that another thread held at that moment is held for
// ever in the child. So a registry of the library that a lock guards goes one of two
// ways. What belongs to one process only (its children, its helpers) is replaced in the
// child by a fresh one, by a handler registered here, before any other code of the
// library runs there: see PerProcess. What the child goes on using (finalizers, mapped
// memory) is guarded by a ForkLock, which the fork itself takes: the child finds it
// whole and unlocked, and nothing need be replaced.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace mp::os {

/// `handler` runs first thing in every child of fork() of this program, also of the
/// application's own forks. Registered once a process family; at most 16.
void on_fork_in_child(void (*handler)());

/// glibc's fork(), after the standard streams were written out. In the child the text
/// that still waits is dropped: see drop_text_of_parent(). Throws std::system_error, or
/// StateError at the very end of exit(), when another thread still runs.
pid_t fork_process();

/// In a handler of on_fork_in_child(): is it fork_process() that forks, and not the
/// program itself?
bool forking_a_process() noexcept;

/// Is the calling thread the only one of this process? False where nobody can tell.
bool is_only_thread() noexcept;

/// The names of the threads of this process, the calling one left out.
std::vector<std::string> other_threads();

/// Points standard input at /dev/null, as in every child, and drops what was read
/// ahead.
void close_standard_input() noexcept;

/// Opens a closed standard stream (0, 1, 2) on /dev/null: for a process that is about
/// to execute a program, never for one of the application's.
void fill_standard_streams() noexcept;

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
// parent_watch: how a child notices that its parent is gone.
// Python:  multiprocessing.process._ParentProcess, spawn's parent_sentinel.
// Differs: one pipe for all children of a process, and siblings do not keep it open.
// Threads: any.
// Owns:    the pipe that this process's children watch, and the read end of its parent's.
//
// Every process that starts children holds the only write end of a pipe; its children
// hold the read end. The end of the process, by whatever cause, is the end of that
// pipe. A forked child closes its copy of the write end first thing.
#pragma once

#include "mp/fd.hpp"

namespace mp::detail {

/// The read end of the pipe that this process's children watch, made at first use; it
/// stays the library's.
int watch_pipe_for_children();

/// In a child, before user code: the read end of the parent's pipe.
void set_parent_watch_fd(UniqueFd fd);

/// Readable (end of file) from the moment the parent is gone; -1 in the main process.
int parent_watch_fd() noexcept;

/// In a child: from now on the kernel kills this process (SIGKILL) as soon as its
/// parent is gone, also in a computing loop and whichever thread created it. Throws
/// std::system_error, or StateError in the main process.
void die_with_parent();

}  // namespace mp::detail

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
//
// A child that is to die with its parent has such a pipe of its own, its lifeline: the
// kernel sends the signal for one open file to one process only, and to open the common
// one again takes /proc and the permission of the user that made it. What its parent
// gains is a way to end a child that it may no longer signal, because one of the two
// has become another user.
#pragma once

#include "mp/fd.hpp"

#include <cstdint>
#include <utility>

namespace mp::detail {

/// The read end of the pipe that this process's children watch, made at first use; it
/// stays the library's.
int watch_pipe_for_children();

/// In a child, before user code: the read end of the parent's pipe.
void set_parent_watch_fd(UniqueFd fd);

/// Readable (end of file) from the moment the parent is gone; -1 in the main process.
int parent_watch_fd() noexcept;

/// In a child whose parent watch is a lifeline: from now on the kernel kills this
/// process (SIGKILL) as soon as its parent is gone or cuts the line, also in a
/// computing loop and whichever thread created it. Throws std::system_error, or
/// StateError in the main process.
void die_with_parent();

/// The parent's end of a lifeline. Its destructor cuts it.
class Lifeline {
public:
    /// None.
    Lifeline() = default;

    /// A new one. Throws std::system_error.
    static Lifeline make();

    Lifeline(Lifeline&& other) noexcept;
    Lifeline& operator=(Lifeline&& other) noexcept;
    Lifeline(const Lifeline&) = delete;
    Lifeline& operator=(const Lifeline&) = delete;

    ~Lifeline() { cut(); }

    explicit operator bool() const noexcept { return number_ != 0; }

    /// What the child is to watch; -1 after childs_end() was taken.
    int childs_fd() const noexcept { return childs_end_.get(); }

    /// For the forked child to keep, and for its parent to close.
    UniqueFd childs_end() noexcept { return std::move(childs_end_); }

    /// Kills the child, if it lives and called die_with_parent(). Asks for no
    /// permission: it is the child that armed the signal.
    void cut() noexcept;

private:
    // The write end is in a table that a forked child empties: no sibling holds it.
    std::uint64_t number_ = 0;
    UniqueFd childs_end_;
};

}  // namespace mp::detail

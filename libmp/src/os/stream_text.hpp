// SPDX-License-Identifier: BSL-1.0
// stream_text: the text that waits in the buffers of C and C++ streams, at a fork and
// at the end of a process. What waits at the fork is the parent's to write, and what
// it had read ahead is the parent's to read; a child writes what it printed itself.
#pragma once

namespace mp::os {

/// Before a fork: what was printed so far comes before what the child prints. A stream
/// that another thread is just using is left alone.
void write_out_before_fork() noexcept;

/// In a forked child, first thing: its copies of the parent's text are dropped, from
/// each FILE of a file and from the standard streams of C++. Takes no lock.
void drop_text_of_parent() noexcept;

/// Once standard input leads elsewhere: what stdin and std::cin had read ahead is
/// dropped.
void drop_read_ahead() noexcept;

/// What std::exit() does for streams: writes out each FILE and the standard streams of
/// C++. Does not wait for a FILE that another thread holds.
void write_out_streams() noexcept;

/// From now on std::terminate() writes them out, too, before it does what it did.
void write_out_at_terminate() noexcept;

}  // namespace mp::os

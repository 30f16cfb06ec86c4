// SPDX-License-Identifier: BSL-1.0
// crash_frames: the native stack of a crash, as a worker's signal handler writes it
// down and as its parent reads it.
#pragma once

#include "process_pool/board_layout.hpp"

#include <cstdint>
#include <string>

namespace futures::detail {

/// In a worker, once: what is to be loaded and looked up before any handler runs.
void prepare_crash_frames();

/// In a worker: the calls below this frame of the calling thread are the library's, or
/// the parent's before it forked, and are left out.
void leave_out_frames_below(const void* frame) noexcept;

/// Writes the frames from where the signal came on. `context` as a handler gets it.
/// Async-signal-safe.
void write_crash_frames(CrashStack& record, const void* context) noexcept;

/// Where the signal came, and where the stack pointer was: 0 where it is not known.
struct CrashPlace {
    std::uintptr_t code = 0;
    std::uintptr_t stack = 0;
};

/// Async-signal-safe.
CrashPlace crash_place(const void* context) noexcept;

/// In the parent: one frame a line, the innermost first, and a line for each function
/// that was inlined. A function of the program by its name, with "at file:line" where
/// that is known, one of a library with "(path+offset)", too; "path+offset" where the
/// name is not known. The record is nobody else's any more, and may hold anything.
std::string crash_frames_in_words(const CrashStack& record, int signal);

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
// freeze_support: where a spawned child or a fork server leaves main and becomes one.
// Python:  multiprocessing.freeze_support, multiprocessing.set_executable.
// Differs: needed on Linux too, because a C++ program has no interpreter that could be
//          started in its place. CMake users get the call from the target libmp::main.
// Threads: freeze_support() before any other thread exists; set_executable() any.
#pragma once

#include <filesystem>

namespace mp {

/// The first line of main. In the main program it returns at once. In a spawned child
/// or a helper it does that process's work and leaves by exit(): it does not
/// return.
void freeze_support(int argc, char** argv);

/// The program that spawn and forkserver execute, instead of this one: the same binary
/// (a copy, another path), or libmp-worker. That is for a library inside a host whose
/// main does not begin with freeze_support(): it loads the module that has libmp, a
/// plug-in or libmp.so, and runs what is in shared libraries. Call it before the first
/// process is started. Anything else is refused with BinaryMismatch at start(). An
/// empty path is this program again.
void set_executable(const std::filesystem::path& program);

}  // namespace mp

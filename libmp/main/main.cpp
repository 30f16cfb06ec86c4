// SPDX-License-Identifier: BSL-1.0
// Target libmp::main: what stands between the C library and the program's main().
//
// The linker's --wrap=main sends the start-up code here, and names the program's own
// main __real_main. In a spawned child, freeze_support() does the child's work and ends
// the process, so main never starts there; everywhere else it returns at once.
#include "mp/spawn.hpp"

extern "C" {
// The linker's names.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
int __real_main(int argc, char** argv, char** envp);
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
int __wrap_main(int argc, char** argv, char** envp);
}

int __wrap_main(int argc, char** argv, char** envp) {
    mp::freeze_support(argc, argv);
    return __real_main(argc, argv, envp);
}

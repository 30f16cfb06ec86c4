// SPDX-License-Identifier: BSL-1.0
// The watchdog: a test case that does not end is ended, and says where it stood.
//
// Each case gets 60 seconds ([slow] cases and sanitizer builds ten times that, both
// together 14 minutes, ctest's limit being 15;
// MP_TEST_DEADLINE=<seconds> overrides, 0 turns it off for a debugger). Then the stacks
// of every thread of the process and of its children are printed, the children are
// killed and the process aborts. It is a timer signal and no thread, so that a test
// that forks forks a single-threaded process.
#pragma once

namespace test {

/// Call once, early in main. The process leaves its process group for one of its own,
/// so that grandchildren whose parent is gone can be found and ended.
void install_watchdog() noexcept;

}  // namespace test

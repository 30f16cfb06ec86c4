// SPDX-License-Identifier: BSL-1.0
// The session: what the main of a test program does behind freeze_support().
#pragma once

namespace test {

/// Once, early: what lasts as long as the process, and the watchdog.
void prepare_process();

/// Runs the program's cases as its arguments say. The exit code: not 0 when one failed,
/// or left something behind.
int run_session(int argc, char** argv);

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// Where this process is to be killed or stopped: for tests that link the libraries'
// sources with failpoints (FAILPOINTS in CMake).
#pragma once

#include <signal.h>

#include <string>

namespace test {

struct Failpoint {
    std::string name;    ///< as in MP_FAILPOINT; empty: nowhere
    int passes = 1;      ///< the signal comes at so many-th pass
    int sent = SIGKILL;  ///< or SIGSTOP
    /// A folder: a process gets the signal only if it can take a file out of it.
    std::string tickets = {};
};

/// For this process and what it forks. A stopped process that goes on is to be killed
/// or stopped at `next`, if that has a name.
void arm(Failpoint first, Failpoint next = {});

/// How many seeds a test gives each place: `usual`, or what MP_TEST_SEEDS says.
int seeds(int usual);

}  // namespace test

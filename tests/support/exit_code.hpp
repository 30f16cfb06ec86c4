// SPDX-License-Identifier: BSL-1.0
// exit_code_of(process): runs a Process to its end.
#pragma once

#include "mp/process.hpp"

namespace test {

/// Its exit code, or -N when signal N ended it.
inline int exit_code_of(mp::Process process) {
    process.start();
    process.join();
    return process.exitcode().value();
}

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// each_start_method: runs a test case once under fork, once under spawn, once under
// forkserver.
#pragma once

#include "mp/context.hpp"

#include "support/catch.hpp"

#include <string>

/// The context of this round. Call it first in a test case.
inline mp::Context each_start_method() {
    const auto method = GENERATE(
        mp::StartMethod::fork, mp::StartMethod::spawn, mp::StartMethod::forkserver
    );
    return mp::get_context(method);
}

// SPDX-License-Identifier: BSL-1.0
// each_start_method: runs a test case once under fork, once under spawn, once under
// forkserver. each_pool_start_method: the same, where threads start the processes.
// quick_pool_context: fork, for a pool.
#pragma once

#include "mp/context.hpp"

#include "support/catch.hpp"
#include "support/sanitizer.hpp"

#include <string>

/// The context of this round. Call it first in a test case.
inline mp::Context each_start_method() {
    const auto method = GENERATE(
        mp::StartMethod::fork, mp::StartMethod::spawn, mp::StartMethod::forkserver
    );
    return mp::get_context(method);
}

/// The same, for processes that start beside threads of their parent, as a pool's do.
/// Under ThreadSanitizer without fork: what locks of the sanitizer itself another
/// thread held then, the child finds locked for ever.
inline mp::Context each_pool_start_method() {
    if (!test::under_tsan) {
        return each_start_method();
    }
    return mp::get_context(GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver)
    );
}

/// Fork, for a case that is about something else and wants a quick start. Under
/// ThreadSanitizer the fork server, as above.
inline mp::Context quick_pool_context() {
    return mp::get_context(
        test::under_tsan ? mp::StartMethod::forkserver : mp::StartMethod::fork
    );
}

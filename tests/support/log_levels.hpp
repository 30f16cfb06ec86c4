// SPDX-License-Identifier: BSL-1.0
// log_one_of_each: a line at each level, by the library's own functions.
#pragma once

#include "util/diagnostics.hpp"

namespace test {

inline void log_one_of_each() {
    mp::detail::log_error("an error");
    mp::detail::log_warning("a warning");
    mp::detail::log_info("an info");
    mp::detail::log_debug("a debug");
}

}  // namespace test

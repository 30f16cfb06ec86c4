// SPDX-License-Identifier: BSL-1.0
// Which sanitizer this test was built with.
#pragma once

#include "os/sanitized.hpp"

namespace test {

using mp::os::under_asan;
using mp::os::under_tsan;

}  // namespace test

// SPDX-License-Identifier: BSL-1.0
// MP_FAILPOINT("name"): a place between two operations of a protocol, at which a test
// can kill or stop the process. Nothing in a normal build. The names are unique, and
// tools/check finds a test for each.
#pragma once

#ifdef MP_FAILPOINTS

namespace mp::os {

/// Defined by tests/support/failpoints.cpp.
void pass_failpoint(const char* name) noexcept;

}  // namespace mp::os

#define MP_FAILPOINT(name) ::mp::os::pass_failpoint(name)
#else
#define MP_FAILPOINT(name) static_cast<void>(0)
#endif

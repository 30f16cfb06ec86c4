// SPDX-License-Identifier: BSL-1.0
// MP_KILL_POINT("name"): a place between two operations of a protocol in shared memory,
// at which a test can kill the process. Nothing in a normal build.
#pragma once

#ifdef MP_FAILPOINTS

namespace mp::detail {

/// Defined by the test.
void pass_kill_point(const char* name) noexcept;

}  // namespace mp::detail

#define MP_KILL_POINT(name) ::mp::detail::pass_kill_point(name)
#else
#define MP_KILL_POINT(name) static_cast<void>(0)
#endif

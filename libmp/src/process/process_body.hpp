// SPDX-License-Identifier: BSL-1.0
// process_body: runs what a process is for, and turns how it ends into an exit code.
#pragma once

#include <functional>
#include <string>

namespace mp::detail {

/// Returns 0 when `body` returns, the status of a SystemExit, or 1 after reporting any
/// other exception on stderr, whole and flushed.
int run_process_body(const std::string& name, const std::function<void()>& body);

}  // namespace mp::detail

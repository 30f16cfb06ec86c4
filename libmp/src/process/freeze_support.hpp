// SPDX-License-Identifier: BSL-1.0
// freeze_support: until main() has called it, nothing may be started in a child.
#pragma once

namespace mp::detail {

/// Throws StateError in a child of the program that has not reached freeze_support()
/// yet: starting a process there would never end.
void refuse_while_bootstrapping();

}  // namespace mp::detail

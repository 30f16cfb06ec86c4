// SPDX-License-Identifier: BSL-1.0
// prefault: fills the page tables of a process while it has nothing else to do.
#pragma once

namespace mp::os {

/// Maps the code of the program and its libraries, so that running it takes no page
/// faults: fork() leaves file pages out. Half of a spare's time to begin was that. Does
/// nothing before Linux 5.14.
void prefault_code() noexcept;

}  // namespace mp::os

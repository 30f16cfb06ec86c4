// SPDX-License-Identifier: BSL-1.0
// address_space: how large an address range may be that is reserved and not filled.
//
// Arenas and queues reserve far more than they ever touch, which costs addresses only.
// Where those are few, because of RLIMIT_AS (ulimit -v) or of a processor with 39 bits
// for them, or where files may not be long (RLIMIT_FSIZE, ulimit -f), they shrink.
#pragma once

#include <cstddef>
#include <string>

namespace mp::os {

/// The largest size to ask for, for each of `count` reservations that take one part in
/// `parts` of what is left together: the rest is for the program, and for those that
/// come later. Asking for it may fail all the same.
std::size_t largest_reservation(std::size_t parts, std::size_t count = 1);

/// For errors: which limits are set, and to what.
std::string address_limits();

}  // namespace mp::os

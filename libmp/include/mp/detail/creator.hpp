// SPDX-License-Identifier: BSL-1.0
// Creator: remembers which process made an object, so that a forked copy of it only
// frees memory and closes descriptors.
// Python:  none, because Python compares os.getpid() where it remembers to.
// Differs: nothing to differ from.
// Threads: any; it is a value.
#pragma once

#include <cstdint>

namespace mp::detail {

/// A number that no other living process of this family has: read from a page that the
/// kernel wipes at fork, so a forked child (even by raw clone) never passes for its
/// parent. Costs two loads once it is known.
std::uint64_t process_token() noexcept;

class Creator {
public:
    Creator() noexcept : token_(process_token()) {}

    /// Is this the process that made me?
    bool is_here() const noexcept { return token_ == process_token(); }

private:
    std::uint64_t token_;
};

}  // namespace mp::detail

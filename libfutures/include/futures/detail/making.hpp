// SPDX-License-Identifier: BSL-1.0
// Making: that a thread makes the value of a derived future, which it may not wait for.
// Python:  none.
// Differs: nothing to differ from.
// Threads: each has its own. A child that is forked in a scope is in none.
#pragma once

#include <algorithm>

namespace futures::detail {

/// A scope: while this thread makes one.
class Making {
public:
    Making() noexcept : before_(depth()++) {}

    ~Making() { depth() = std::min(depth(), before_); }

    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;

    static bool is_here() noexcept { return depth() != 0; }

    /// Another one for each.
    static const void* this_thread() noexcept { return &depth(); }

private:
    static unsigned& depth() noexcept;

    const unsigned before_;
};

}  // namespace futures::detail

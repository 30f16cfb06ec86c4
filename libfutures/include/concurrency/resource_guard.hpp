// SPDX-License-Identifier: BSL-1.0
// ResourceGuard: refuses a second task where one at a time may be.
// Python:  anyio.ResourceGuard.
// Differs: `with guard:` is `auto use = guard.scoped();`, which nobody awaits.
// Threads: one at a time; outside a loop, too.
// Throws:  BusyResourceError.
#pragma once

#include "concurrency/guard.hpp"

#include <string>
#include <utility>
#include <variant>

namespace concurrency {

/// For objects that two tasks must not use at the same time, and where waiting for one
/// another would hide an error: two readers of one stream.
class ResourceGuard {
public:
    /// Held while the resource is used; see Guard.
    using Guard = concurrency::Guard<ResourceGuard, std::monostate>;

    /// What is done with the resource, for the text of the error: "reading from".
    explicit ResourceGuard(std::string action = "using") noexcept
        : action_(std::move(action)) {}

    ResourceGuard(const ResourceGuard&) = delete;
    ResourceGuard& operator=(const ResourceGuard&) = delete;

    /// Marks the resource as used until the guard is destroyed. Throws
    /// BusyResourceError when it is used already. Never suspends.
    Guard scoped();

    /// Whether it is used.
    bool busy() const noexcept { return is_busy_; }

private:
    friend class concurrency::Guard<ResourceGuard, std::monostate>;

    void release(std::monostate) noexcept { is_busy_ = false; }
    void give_back(std::monostate) noexcept { is_busy_ = false; }

    const std::string action_;
    bool is_busy_ = false;
};

}  // namespace concurrency

// SPDX-License-Identifier: BSL-1.0
#include "concurrency/resource_guard.hpp"

#include "concurrency/errors.hpp"

namespace concurrency {

ResourceGuard::Guard ResourceGuard::scoped() {
    if (is_busy_) {
        throw BusyResourceError(
            "another task is already " + action_ + " this resource"
        );
    }
    is_busy_ = true;
    return Guard(*this, {});
}

}  // namespace concurrency

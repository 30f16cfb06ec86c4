// SPDX-License-Identifier: BSL-1.0
#include "concurrency/errors.hpp"

namespace concurrency {

Cancelled::Cancelled(std::string reason)
    : reason_(
          reason.empty() ? nullptr
                         : std::make_shared<const std::string>(std::move(reason))
      ) {}

const std::string& Cancelled::reason() const noexcept {
    static const std::string none;
    return reason_ ? *reason_ : none;
}

}  // namespace concurrency

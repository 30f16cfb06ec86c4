// SPDX-License-Identifier: BSL-1.0
#include "futures/when.hpp"

#include <stdexcept>

namespace futures::detail {

void throw_any_of_none() {
    throw std::invalid_argument("when_any() of no futures would never be done");
}

}  // namespace futures::detail

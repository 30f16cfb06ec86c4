// SPDX-License-Identifier: BSL-1.0
#include "futures/as_completed.hpp"

#include <string>

namespace futures::detail {

void throw_unfinished(std::size_t unfinished, std::size_t all) {
    throw TimeoutError(
        std::to_string(unfinished) + " (of " + std::to_string(all) +
        ") futures unfinished"
    );
}

}  // namespace futures::detail

// SPDX-License-Identifier: BSL-1.0
#include "mp/value.hpp"

#include <stdexcept>
#include <string>

namespace mp::detail {

void check_slice(std::size_t begin, std::size_t end, std::size_t size) {
    if (begin > end || end > size) {
        throw std::out_of_range(
            "elements " + std::to_string(begin) + " to " + std::to_string(end) +
            " of a shared array of " + std::to_string(size)
        );
    }
}

}  // namespace mp::detail

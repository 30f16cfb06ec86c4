// SPDX-License-Identifier: BSL-1.0
#include "futures/executor.hpp"

#include <stdexcept>
#include <string>

namespace futures::detail {

void check_map_options(Count chunksize, const std::optional<Count>& buffersize) {
    if (chunksize.value() < 1) {
        throw std::invalid_argument(
            "chunksize must be greater than 0, not " + std::to_string(chunksize.value())
        );
    }
    if (buffersize && buffersize->value() < 1) {
        throw std::invalid_argument(
            "buffersize must be nothing or greater than 0, not " +
            std::to_string(buffersize->value())
        );
    }
}

}  // namespace futures::detail

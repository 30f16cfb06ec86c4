// SPDX-License-Identifier: BSL-1.0
#include "mp/raw_value.hpp"

#include "mp/errors.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace mp::detail {

namespace {

[[noreturn]] void throw_out_of_range(const std::string& index, std::size_t size) {
    throw std::out_of_range(
        "index " + index + " of a shared array of " + std::to_string(size)
    );
}

}  // namespace

std::size_t checked_index(std::int64_t index, std::size_t size) {
    const auto length = static_cast<std::int64_t>(size);
    const std::int64_t from_start = index < 0 ? index + length : index;
    if (from_start < 0 || from_start >= length) {
        throw_out_of_range(std::to_string(index), size);
    }
    return static_cast<std::size_t>(from_start);
}

std::size_t checked_index(std::uint64_t index, std::size_t size) {
    if (index >= size) {
        throw_out_of_range(std::to_string(index), size);
    }
    return static_cast<std::size_t>(index);
}

std::size_t checked_count(std::int64_t count) {
    if (count < 0) {
        throw std::invalid_argument(
            "a shared array cannot have " + std::to_string(count) + " elements"
        );
    }
    return static_cast<std::size_t>(count);
}

SharedBlock value_block(std::size_t size, std::size_t alignment) {
    // A cache line of its own: two values do not slow each other down.
    constexpr std::size_t line = 64;
    return SharedBlock::allocate(size, std::max(alignment, line));
}

SharedBlock array_block(std::size_t count, std::size_t size, std::size_t alignment) {
    if (count > std::numeric_limits<std::size_t>::max() / 2 / size) {
        throw ResourceLimitExceeded(
            "a shared array of " + std::to_string(count) + " elements of " +
            std::to_string(size) + " bytes"
        );
    }
    // No memory at all would be no block.
    return value_block(count == 0 ? 1 : count * size, alignment);
}

void check_array(const SharedBlock& block, std::uint64_t count, std::size_t size) {
    if (count > block.size() / size) {
        throw SerializationError(
            SerializationPhase::decode,
            std::to_string(count) + " elements do not fit a block of " +
                std::to_string(block.size()) + " bytes"
        );
    }
}

}  // namespace mp::detail

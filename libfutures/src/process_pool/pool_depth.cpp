// SPDX-License-Identifier: BSL-1.0
#include "process_pool/pool_depth.hpp"

#include "mp/cpu_count.hpp"
#include "mp/errors.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>

namespace futures::detail {

namespace {

std::atomic<std::uint32_t> depth_of_process{0};

}  // namespace

std::uint32_t pool_depth() noexcept {
    return depth_of_process.load();
}

void set_pool_depth(std::uint32_t depth) noexcept {
    depth_of_process.store(depth);
}

void check_depth(Count most) {
    if (most.value() < 1) {
        throw std::invalid_argument(
            "max_depth must be at least 1, not " + std::to_string(most.value())
        );
    }
    if (std::cmp_greater_equal(pool_depth(), most.value())) {
        throw mp::StateError(
            "pools are nested too deep: this one, in a task of a task, would be the " +
            std::to_string(pool_depth() + 1) +
            "th inside each other, and max_depth is " + std::to_string(most.value())
        );
    }
}

std::uint32_t default_workers() noexcept {
    const auto all = static_cast<std::uint32_t>(mp::usable_cpu_count());
    return std::max(all / (pool_depth() + 1), std::uint32_t{1});
}

}  // namespace futures::detail

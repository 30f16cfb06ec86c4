// SPDX-License-Identifier: BSL-1.0
#include "process_pool/pool_depth.hpp"

#include <atomic>

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

}  // namespace futures::detail

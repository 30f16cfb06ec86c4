// SPDX-License-Identifier: BSL-1.0
// page: how large this machine's pages are. 4 KiB is usual; arm64 also has 16 and 64.
#pragma once

#include <unistd.h>

#include <cstddef>

namespace mp::os {

inline std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

constexpr std::size_t rounded_up(std::size_t size, std::size_t granule) noexcept {
    return (size + granule - 1) / granule * granule;
}

constexpr std::size_t rounded_down(std::size_t size, std::size_t granule) noexcept {
    return size / granule * granule;
}

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
// limit_text: limits in words.
#pragma once

#include "mp/units.hpp"

#include <cstdint>
#include <string>

namespace futures::detail {

/// "512 MiB"; "1000 bytes" where it is no round number.
inline std::string size_text(std::uint64_t bytes) {
    if (bytes >= mp::GiB && bytes % mp::GiB == 0) {
        return std::to_string(bytes / mp::GiB) + " GiB";
    }
    if (bytes >= mp::MiB && bytes % mp::MiB == 0) {
        return std::to_string(bytes / mp::MiB) + " MiB";
    }
    if (bytes >= mp::KiB && bytes % mp::KiB == 0) {
        return std::to_string(bytes / mp::KiB) + " KiB";
    }
    return std::to_string(bytes) + " bytes";
}

}  // namespace futures::detail

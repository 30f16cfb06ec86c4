// SPDX-License-Identifier: BSL-1.0
// What a Lock prints.
#include "mp/lock.hpp"

namespace mp {

std::string to_string(const Lock& lock) {
    return "<Lock(owner=" + lock.owner_text() + ")>";
}

}  // namespace mp

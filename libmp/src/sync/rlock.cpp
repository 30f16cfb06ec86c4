// SPDX-License-Identifier: BSL-1.0
// What an RLock prints.
#include "mp/rlock.hpp"

#include "sync/held_lock.hpp"

namespace mp {

std::string to_string(const RLock& lock) {
    const std::string owner = lock.owner_text();
    const bool other = owner.rfind("SomeOther", 0) == 0;
    const std::string count = owner == "None" ? "0"
                              : other         ? "nonzero"
                                              : std::to_string(lock.state().depth);
    return "<RLock(owner=" + owner + ", count=" + count + ")>";
}

}  // namespace mp

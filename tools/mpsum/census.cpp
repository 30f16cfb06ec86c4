// SPDX-License-Identifier: BSL-1.0
// Census: items one by one, and stat() for the size of each.
#include "census.hpp"

#include <sys/stat.h>

namespace mpsum {

bool Census::advance(mp::Timeout slice) {
    const mp::Deadline deadline(slice);
    while (source_ && !deadline.expired()) {
        const std::optional<Item> item = source_->next();
        if (!item) {
            source_.reset();
            return true;
        }
        if (item->kind == Item::Kind::failure) {
            continue;
        }
        ++files_;
        struct stat about {};
        if (item->kind != Item::Kind::standard_input &&
            ::stat(item->name.c_str(), &about) == 0 && S_ISREG(about.st_mode)) {
            bytes_ += static_cast<std::uint64_t>(about.st_size);
        }
    }
    return false;
}

}  // namespace mpsum

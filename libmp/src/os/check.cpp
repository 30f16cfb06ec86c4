// SPDX-License-Identifier: BSL-1.0
#include "os/check.hpp"

#include <cerrno>

namespace mp::os {

std::error_code last_error() noexcept {
    return {errno, std::generic_category()};
}

void set_last_error(int error) noexcept {
    errno = error;
}

void clear_error() noexcept {
    errno = 0;
}

bool interrupted() noexcept {
    return errno == EINTR;
}

bool would_block() noexcept {
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

void throw_last_error(const char* what) {
    throw std::system_error(last_error(), what);
}

void throw_error(int error, const char* what) {
    throw std::system_error(error, std::generic_category(), what);
}

}  // namespace mp::os

// SPDX-License-Identifier: BSL-1.0
#include "mp/fd.hpp"

#include "os/new_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace mp {

void UniqueFd::reset(int fd) noexcept {
    if (fd_ >= 0) {
        // Linux frees the number even when close() is interrupted: never call it twice.
        ::close(fd_);
    }
    fd_ = fd;
}

UniqueFd UniqueFd::duplicate_of(int fd) {
    return UniqueFd(os::check(
        ::fcntl(fd, F_DUPFD_CLOEXEC, os::first_own_fd), "fcntl(F_DUPFD_CLOEXEC)"
    ));
}

}  // namespace mp
